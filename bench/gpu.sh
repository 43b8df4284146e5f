#!/usr/bin/env bash
# Everything that has to be measured on a GPU, in pieces of at most ten minutes each: bench/gpu.sh [FOLDER]
# Each piece's output lies in FOLDER/PIECE.txt (default: outputs/gpu); a piece that is there already is left out, so that what was
# stopped goes on. docs/scale.md says where which figure belongs.
set -u
cd "$(dirname "$0")/.."
folder=${1:-outputs/gpu}
python=${PYTHON:-.venv/bin/python}
if ! "$python" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
  echo "nothing was measured: torch sees no GPU here"
  exit
fi
mkdir -p "$folder"

piece() {
  local name=$1
  shift
  if [ -s "$folder/$name.txt" ]; then
    echo "$name: there already"
    return
  fi
  echo "$name: $*"
  local part=$folder/$name.part
  timeout 600 "$@" >"$part" 2>&1
  local code=$?
  # 1 is a bar that was missed, or a program that broke; what broke or was cut off is measured again the next time
  if [ $code -gt 1 ] || grep -q "^Traceback" "$part"; then
    echo "$name: stopped with $code, see $part"
    return
  fi
  if [ $code -eq 1 ] && ! grep -q "MISSED" "$part"; then echo "MISSED: a bar of $name" >>"$part"; fi
  mv "$part" "$folder/$name.txt"
}

piece train "$python" -m bench.gpu train
piece large "$python" -m bench.gpu large
piece scenes "$python" -m bench.gpu detection
piece compile "$python" -m bench.gpu compile
piece share "$python" -m bench.gpu share
piece loading "$python" -m bench.gpu loading
piece memory "$python" -m bench.memory
piece models "$python" -m bench.models --no-compile
piece detection "$python" -m bench.detection --batch 16
piece video "$python" -m bench.video
piece packing "$python" -m bench.packing 1 2 4 8 --setting cls --mps
# models an hour of the built-in setting, with graphs and without, one at a time; from the start, where one was cut off
for graphs in auto false; do
  piece "build-$graphs" bash -c "rm -rf '$folder/build-$graphs'; time $python -m src.build setting=seg sample=small count=16 build.per_device=1 trainer.graphs=$graphs paths.outputs=$folder/build-$graphs"
done
# the rate of the default code in a real training's loop, which docs/scale.md derives hours from
piece rate "$python" -m src.train task=cls arch=default data.size=224 recipe.batch=64 recipe.length=200 keep=none "hydra.run.dir=$folder/rate"
grep -h "MISSED" "$folder"/*.txt || echo "no bar is missed of what was measured"
