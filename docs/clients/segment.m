% octave segment.m URL SCAN, or MATLAB with url and scan set before. By curl, for Octave's own calls send no raw body.
if ~exist('url', 'var'), given = argv(); url = given{1}; scan = given{2}; end
file = tempname();
curl = 'curl -sS --fail-with-body --retry 5 -X POST -T "%s" -o "%s" "%s/api/v1/segment?outputs=none"'; % waits by Retry-After
status = system(sprintf(curl, scan, file, url));
answer = fileread(file);
delete(file);
if status ~= 0, error('BrainSeg:refused', '%s', answer); end
found = jsondecode(answer);
fprintf('%s %d\n', found.verdict, found.tumor_pixels);
