"""The task of naming: one slice in, which of the card's classes it shows out."""
