"""An explanation in words: what the map shows, and how far it can be believed."""

from __future__ import annotations

from handler.explain.deletion import DRAWS, Deletion

METHOD = {
    "gradcam": "Bright is where inner features of the network are strong of which more would raise {what}. The map is "
    "made of cells of {size} pixels and has no unit: only its pattern says something.",
    "occlusion": "Bright is where {what} falls when a window of {size} pixels is blanked; where it rises, the value is "
    "negative and the picture stays dark. Nothing finer than the window can be told apart.",
}
QUESTION = {
    "verdict": "the largest probability of tumour, by which the verdict is given",
    "area": "the probability over the pixels that were marked as tumour, by which the area is given",
}
LIMITS = (
    "It shows what this network's answer hangs on in this picture. It does not show why, and not whether the answer is "
    "right."
)


def meaning(method: str, question: str, size: int) -> str:
    """What is seen. ``size``: of a cell or window, in pixels of the network's grid."""
    return f"{METHOD[method].format(what=QUESTION[question], size=size)} {LIMITS}"


def believed(found: Deletion, question: str) -> str:
    """What :class:`Deletion` says of the map."""

    def shown(max_probability: float, area: float) -> str:
        return f"{area:.0f} pixels" if question == "area" else f"{max_probability:.3f}"

    name = "the area" if question == "area" else "the largest probability"
    whole, most = found.whole, found.without_most_important
    count = len(found.without_random)
    mean_probability = sum(one.max_probability for one in found.without_random) / count
    mean_area = sum(one.area for one in found.without_random) / count
    figures = (
        f"With the brightest tenth of the head blanked {name} goes from {shown(whole.max_probability, whole.area)} to "
        f"{shown(most.max_probability, most.area)}; with a tenth at random to {shown(mean_probability, mean_area)} "
        f"(mean of {DRAWS})."
    )
    if found.faithful:
        return f"{figures} The answer hangs on what is bright more than on parts at random."
    return f"{figures} That is no more than at random: nothing should be read into this map."
