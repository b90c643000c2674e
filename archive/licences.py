"""Which licences may be shipped: those that the Open Source Initiative approves, and a few others for a reason."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from license_expression import ExpressionError, Licensing, get_spdx_licensing

from archive.shipped import Shipped

# https://opensource.org/licenses, by SPDX identifier; those that come up.
OPEN = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT",
    "MIT-0", "MPL-2.0", "Python-2.0", "Zlib", "ZPL-2.1",
})  # fmt: skip
# What packages call them that do not speak SPDX.
NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD-3": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "PSFL": "PSF-2.0",
    "ZPL 2.1": "ZPL-2.1",
}
SAYS_NOTHING = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}  # a package without content that names the others
OTHERS: Mapping[str, str] = {
    "CC0-1.0": "public domain, a part of numpy's",
    "MIT-CMU": "of the HPND family, which is approved; Pillow's",
    "PSF-2.0": "Python's own, approved as Python-2.0 together with its history",
    "LicenseRef-NVIDIA-Proprietary": "NVIDIA's libraries come with torch for CUDA alone; a CPU build has none of them",
}


def not_allowed(part: Shipped) -> str:
    """Why ``part`` may not be shipped, in words; empty when it may."""
    said = SAYS_NOTHING.get(part.name, part.licence)
    if not said:
        return "it names no licence"
    try:
        found = _spdx().parse(NAMES.get(said, said))
    except ExpressionError:
        return f"its licence {said!r} is no SPDX expression: look what it is, then name it in archive/licences.py"
    # An "or" leaves the choice; to ask it of all is the stricter way, and all that is shipped passes.
    unknown = [key for key in found.objects if key not in OPEN and key not in OTHERS]
    return f"its licence {', '.join(unknown)} is not approved by the Open Source Initiative" if unknown else ""


@lru_cache(maxsize=1)
def _spdx() -> Licensing:
    """Reads the list of all licences, 50 ms a time: a hundred parts would wait five seconds for it."""
    return get_spdx_licensing()
