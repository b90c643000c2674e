"""Jobs: a scan now, its answer later. A job that was accepted outlives this process; its answer is the one that
``POST /api/v1/segment`` gives. Without a folder for them there are none, and nothing of this is imported."""
