// What the contract's codes mean to someone who reads scans, not status codes.

const WORDS = {
  empty_body: ["The file is empty", "Choose another file."],
  no_image: ["No scan was sent", "Choose a NIfTI, DICOM, JPEG, PNG or TIFF file."],
  invalid_parameter: ["A setting cannot be used", "Set the sliders back and try again."],
  unauthorized: ["This server needs an API key", "Enter the key you were given. It stays in this tab."],
  model_not_found: ["This model version is not there any more", "Choose another version at the top."],
  too_large: ["The scan is too large", "At most 64 MB, 200 slices and 4096 pixels a side. Split the stack or scale it down."],
  response_too_large: ["The pictures would be too large", "Send fewer slices at a time."],
  unsupported_format: ["This kind of file cannot be read", "Send NIfTI, DICOM (a file, a zip or a folder), JPEG, PNG or TIFF."],
  corrupt_image: ["The file is damaged", "It begins like a picture but cannot be decoded. Save or copy it again."],
  unsupported_shape: ["The shape of the scan does not fit", "Expected: grey or RGB slices of one size, at least 16 pixels a side."],
  inconsistent_series: ["The slices do not make one volume", "A slice is missing or comes twice, or they differ in size or direction. Send one whole series."],
  geometry_mismatch: ["The sequences do not show the same place", "Send sequences of one examination, or one of them alone."],
  several_series: ["There are several series in this scan", "Say which one to segment."],
  not_mr: ["This is no MR scan", "Send an MR series: FLAIR, with T1 before and after contrast where there are."],
  unnamed_sequences: ["Which file is which?", "Put FLAIR, T1 or T1c into the names of the NIfTI files; one must be FLAIR."],
  rate_limited: ["That was a lot of scans in a short time", "Wait a moment, then try again."],
  worker_lost: ["The analysis broke off on this scan", "Try again. If it happens with this scan only, save it in another format."],
  queue_full: ["The server is busy", "Others are in front of you. Try again in a moment."],
  not_ready: ["The server is not ready yet", "The model is being loaded. Try again in a moment."],
  out_of_memory: ["The server is short of memory", "Try again later, or send fewer or smaller slices."],
  timeout: ["The analysis took too long", "Send fewer slices at a time."],
  not_assessed: ["This scan was not assessed", "There is no mask of it. Ask again with the gate off to get one all the same."],
  nothing_to_explain: ["There is nothing to explain here", "No tumour is marked on this slice: ask what moves the verdict, or choose another slice."],
  explain_unavailable: ["This model version cannot explain itself", "Choose another version at the top."],
  interrupted: ["Not answered: the page was left", "Try again."],
  cancelled: ["Not answered: stopped", "Try again."],
  reconnected: ["The connection broke", "The server can be reached again: try once more."],
  offline: ["The server cannot be reached", "Check that it is running and that you are connected."],
};

// A code -> {title, help}.
export function words(code) {
  const [title, help] = WORDS[code] ?? ["Something went wrong on the server", "Try again. Its log says more."];
  return { title, help };
}
