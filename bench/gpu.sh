#!/usr/bin/env bash
# Everything that has to be measured on a GPU, in pieces of at most ten minutes each: bench/gpu.sh [FOLDER]
# Each piece's output lies in FOLDER/PIECE.txt (default: outputs/gpu); a piece that is there already is left out, so that what was
# stopped goes on. docs/scale.md says where which figure belongs.
set -u
cd "$(dirname "$0")/.."
folder=${1:-outputs/gpu}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$folder"

piece() {
  local name=$1
  shift
  if [ -s "$folder/$name.txt" ]; then
    echo "$name: there already"
    return
  fi
  echo "$name: $*"
  # bars that are missed are in the text; a piece that was cut off is measured again the next time
  timeout 600 "$@" >"$folder/$name.part" 2>&1
  local code=$?
  if [ $code -le 1 ]; then mv "$folder/$name.part" "$folder/$name.txt"; else echo "$name: stopped with $code, see $folder/$name.part"; fi
}

piece train "$python" -m bench.gpu train
piece large "$python" -m bench.gpu large
piece compile "$python" -m bench.gpu compile
piece share "$python" -m bench.gpu share
piece loading "$python" -m bench.gpu loading
piece models "$python" -m bench.models --no-compile
piece detection "$python" -m bench.detection --batch 16
piece video "$python" -m bench.video
piece packing "$python" -m bench.packing 1 2 4 8 --setting cls --mps
# models an hour of the built-in setting, with graphs and without, one at a time
for graphs in auto false; do
  piece "build-$graphs" bash -c "time $python -m src.build setting=seg sample=small count=16 build.per_device=1 trainer.graphs=$graphs paths.outputs=$folder/build-$graphs"
done
# the rate of the default code in a real training's loop, which docs/scale.md derives hours from
piece rate "$python" -m src.train task=cls arch=default data.size=224 recipe.batch=64 recipe.length=200 keep=none "hydra.run.dir=$folder/rate"
grep -h "MISSED" "$folder"/*.txt || echo "no bar is missed"
