"""Networks and cards of several classes: three of a glioma, as BraTS has them, by rules that a test can do by hand."""

from __future__ import annotations

from handler.labels import SIGMOID, SOFTMAX, Code, Label, Region

NECROSIS, OEDEMA, ENHANCING = 1, 2, 3
LABELS = (
    Label(NECROSIS, "necrosis and non-enhancing core", (255, 0, 0), Code("6574001", "SCT", "Necrosis")),
    Label(OEDEMA, "oedema", (0, 200, 0), Code("79654002", "SCT", "Edema")),
    Label(ENHANCING, "enhancing tumour", (255, 220, 0), Code("C113842", "NCIt", "Enhancing Lesion")),
)
REGIONS = {
    SOFTMAX: (
        Region("whole tumour", (1, 2, 3)),
        Region("tumour core", (1, 3)),
        Region("enhancing tumour", (3,)),
    ),
    SIGMOID: (
        Region("whole tumour", (1, 2, 3), writes=OEDEMA),
        Region("tumour core", (1, 3), writes=NECROSIS),
        Region("enhancing tumour", (3,), writes=ENHANCING),
    ),
}
