# Rscript segment.R URL SCAN (install.packages(c("httr2", "jsonlite")), or Debian's r-cran-httr2 and r-cran-jsonlite)
library(httr2)
given <- commandArgs(trailingOnly = TRUE)
answer <- request(given[1]) |>
  req_url_path("/api/v1/segment") |>
  req_url_query(outputs = "none") |>
  # not req_body_file, which in httr2 0.2 has nothing left to send at the second try
  req_body_raw(readBin(given[2], "raw", file.size(given[2])), type = "application/octet-stream") |>
  req_retry(max_tries = 5) |> # on 429 and 503, after Retry-After
  req_error(body = \(answer) resp_body_json(answer, check_type = FALSE)$detail) |>
  req_perform() |>
  resp_body_json()
cat(answer$verdict, answer$tumor_pixels, "\n")
