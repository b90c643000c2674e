# Sourced by the commands beside it. Makes .venv with the pinned dependencies, once, and again when the pins change.
#   brainseg_run LEVEL MODULE [ARGUMENTS…]     LEVEL: serve, pacs (also a DICOM node), bulk (also Parquet), ray (also Ray), kuberay (also what a node of KubeRay needs), train (also what training needs), train-ray (both), test (all)
set -euo pipefail
BRAINSEG_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON="$BRAINSEG_ROOT/.venv/bin/python"
# Nothing of the folder where one stands, of the user's own packages or of the environment is imported in place of what is
# meant: a folder of scans from elsewhere may hold a random.py. The variables pass this on to what is started from here.
for name in ${!PYTHON*}; do
    case "$name" in
        PYTHON | PYTHONDONTWRITEBYTECODE | PYTHONFAULTHANDLER | PYTHONHASHSEED | PYTHONUNBUFFERED | PYTHONUTF8) ;;
        *) unset "$name" ;;
    esac
done
export PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
# A name that the terminal's encoding cannot show is shown escaped, and ends nothing.
export PYTHONIOENCODING=:backslashreplace
export PYTHONPATH="$BRAINSEG_ROOT:$BRAINSEG_ROOT/client" NO_ALBUMENTATIONS_UPDATE=1
# Threads that wait for others sleep. By default they spin, which starves a second worker on the same cores.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"

brainseg_fail() {
    printf 'brainseg: %s\n' "$*" >&2
    exit 1
}

brainseg_find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if "$candidate" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    brainseg_fail "Python 3.11 or newer with venv is needed. Install it (Debian: apt-get install python3 python3-venv)."
}

brainseg_pins() { cat "$BRAINSEG_ROOT/pyproject.toml" "$BRAINSEG_ROOT/constraints.txt" | cksum; }

# brainseg_has LEVEL…: whether .venv holds one of the levels, as the pins are now.
brainseg_has() {
    local level
    for level in "$@"; do
        [ -x "$PYTHON" ] && [ "$(cat "$BRAINSEG_ROOT/.venv/.brainseg-$level" 2>/dev/null)" = "$(brainseg_pins)" ] && return
    done
    return 1
}

# brainseg_requirements GROUP…: the dependencies in pyproject.toml, one a line.
brainseg_requirements() {
    "$PYTHON" -P - "$BRAINSEG_ROOT/pyproject.toml" "$@" <<'EOF'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*project["dependencies"], *(r for g in sys.argv[2:] for r in project["optional-dependencies"][g]), sep="\n")
EOF
}

BRAINSEG_CPU_INDEX="https://download.pytorch.org/whl/cpu" # PyTorch's own

brainseg_has_gpu() { [ -e /dev/nvidiactl ]; }

# brainseg_torch: the CPU build of torch where no NVIDIA device is, a fraction of the CUDA build. What pip asks for later is
# then there already, for 2.14.1+cpu satisfies the pin of 2.14.1.
#   BRAINSEG_TORCH=cuda         the plain index, whatever devices there are
#   BRAINSEG_TORCH_INDEX        a wheel index, or a folder of wheels, instead of PyTorch's own
#   BRAINSEG_WHEELS             a folder of wheels for all that is installed; no network is asked for anything
brainseg_torch() {
    local index="${BRAINSEG_WHEELS:-${BRAINSEG_TORCH_INDEX:-}}" pins from
    case "${BRAINSEG_TORCH:-}" in
        cuda) echo "brainseg: torch with CUDA, from the plain index (BRAINSEG_TORCH)" >&2 && return ;;
        "") ;;
        *) brainseg_fail "BRAINSEG_TORCH is '$BRAINSEG_TORCH'; expected cuda, or nothing for what fits the machine" ;;
    esac
    if brainseg_has_gpu; then echo "brainseg: torch with CUDA, from the plain index (an NVIDIA device is here)" >&2 && return; fi
    if "$PYTHON" -I -c 'import torch' 2>/dev/null; then return; fi
    if [ -z "$index" ]; then
        if ! timeout 3 "$PYTHON" -I -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=3)' \
            "$BRAINSEG_CPU_INDEX/torch/" >/dev/null 2>&1; then
            echo "brainseg: torch from the plain index: $BRAINSEG_CPU_INDEX did not answer within 3 s" >&2 && return
        fi
        index="$BRAINSEG_CPU_INDEX"
    fi
    pins=$(grep -E '^(torch|torchvision)==' "$BRAINSEG_ROOT/constraints.txt")
    if [ -d "$index" ]; then from=(--no-index --find-links "$index"); else from=(--index-url "$index"); fi
    # Without what they need, which the plain index has.
    if "$PYTHON" -I -m pip install --quiet --disable-pip-version-check --no-deps "${from[@]}" $pins >&2; then
        echo "brainseg: the CPU build of torch, from $index (no NVIDIA device is here)" >&2
    else
        echo "brainseg: torch from the plain index: $index has no $(echo $pins)" >&2
    fi
}

brainseg_environment() {
    local level="$1" groups enough wheels=()
    case "$level" in
        serve) groups="" enough="serve pacs train test" ;;
        pacs) groups="pacs" enough="pacs test" ;;
        bulk) groups="bulk" enough="bulk ray kuberay test" ;;
        ray) groups="bulk ray" enough="ray kuberay test" ;;
        kuberay) groups="bulk kuberay" enough="kuberay test" ;;
        train) groups="train" enough="train train-ray test" ;;
        train-ray) groups="bulk ray train" enough="train-ray test" ;;
        test) groups="register pacs openvino grpc jobs traces bulk kuberay fuzz train test" enough="test" ;;
    esac
    if brainseg_has $enough; then return; fi
    exec 9>"$BRAINSEG_ROOT/.venv.lock"
    flock 9 # two commands at once: the second finds the work done
    if ! brainseg_has $enough; then
        if [ -n "${BRAINSEG_WHEELS:-}" ]; then
            [ -d "$BRAINSEG_WHEELS" ] || brainseg_fail "BRAINSEG_WHEELS is '$BRAINSEG_WHEELS'; expected a folder of wheels"
            wheels=(--no-index --find-links "$BRAINSEG_WHEELS")
        fi
        [ -x "$PYTHON" ] || "$(brainseg_find_python)" -I -m venv "$BRAINSEG_ROOT/.venv"
        echo "brainseg: installing the pinned dependencies into .venv (some minutes the first time)" >&2
        brainseg_torch
        brainseg_requirements $groups > "$BRAINSEG_ROOT/.venv/requirements.txt"
        "$PYTHON" -I -m pip install --quiet --disable-pip-version-check "${wheels[@]}" -c "$BRAINSEG_ROOT/constraints.txt" \
            -r "$BRAINSEG_ROOT/.venv/requirements.txt" >&2 ||
            brainseg_fail "pip could not install the dependencies, its message is above. For a mirror set PIP_INDEX_URL, for a folder of wheels BRAINSEG_WHEELS, for a CPU build of torch BRAINSEG_TORCH_INDEX."
        brainseg_pins > "$BRAINSEG_ROOT/.venv/.brainseg-$level"
    fi
    exec 9>&-
}

brainseg_run() {
    local level="$1" module="$2"
    shift 2
    brainseg_environment "$level"
    exec "$PYTHON" -P -s -m "$module" "$@"
}
