// Why the model does not assess a scan (the codes of trust.reasons): what is wrong with it, and what to send instead.

const REASONS = {
  not_a_brain: ["This does not look like a brain MR.", "Send an axial FLAIR scan of a whole head."],
  other_plane: ["This looks like a sagittal or coronal slice.", "Send axial slices, or the whole volume: it is turned by itself."],
  other_contrast: ["This is another contrast than the model knows.", "Send FLAIR, or T1, FLAIR and T1 with contrast as red, green and blue; not inverted, not T1 or T2 alone."],
  nearly_black: ["The picture is nearly black.", "Save it as 8 bit with its full range; programs can say which intensities are used (intensity_range)."],
  saturated: ["Large parts of the picture are overexposed.", "Save it again with a wider window, so that the brain is not white all over."],
  cropped_head: ["Parts of the head are cut off.", "Send the whole slice, with the skull and some background around it."],
  upside_down: ["The head lies upside down.", "Turn the picture so that the face is at the top, or send DICOM or NIfTI, which say where up is."],
  other_scale: ["The head is much smaller or larger than the model knows.", "Send the whole slice, filled by the head, without page or screen around it."],
};

// A code -> {what, instead}. A code that is not known here is named.
export function reasonWords(code) {
  const [what, instead] = REASONS[code] ?? [`The scan is not what the model knows (${code}).`, "Send an axial FLAIR scan of a whole head."];
  return { what, instead };
}
