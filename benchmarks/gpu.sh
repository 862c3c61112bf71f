#!/usr/bin/env bash
# Everything that only a GPU can show, in eight minutes: run it where one is at hand, from the root of the repository.
#
#   OUT=results bash benchmarks/gpu.sh
#
#   OUT                   folder for logs, tables, figures (default results/gpu)
#   RUNS                  folder of the training runs, which a second call resumes (default $OUT/runs; gigabytes)
#   MEDGAN_GPU_SECONDS    time for all of it (default 480); training gets what the rest leaves, at least a tenth
#   MEDGAN_GPU_SCRIPT_TINY=1   the same steps on the CPU with tiny settings, to try the script
#
# A part that fails is reported and does not stop the others; the exit status is the number of parts that failed.
set -u
BEGUN=$(date +%s)
TOTAL=${MEDGAN_GPU_SECONDS:-480}
TINY=${MEDGAN_GPU_SCRIPT_TINY:-}
OUT=${OUT:-results/gpu}
RUNS=${RUNS:-$OUT/runs}
PYTHON=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "$OUT" "$RUNS"
FAILED=0

left() { echo $((TOTAL - ($(date +%s) - BEGUN))); }

# part NAME SECONDS COMMAND...: run with a limit, keep the output under $OUT/NAME.txt and show its end
part() {
    local name=$1 limit=$2 begun status
    shift 2
    begun=$(date +%s)
    timeout -k 10 "$limit" "$@" > "$OUT/$name.txt" 2>&1
    status=$?
    echo "== $name: exit $status, $(($(date +%s) - begun)) s, $(left) s left"
    tail -n "${SHOWN:-12}" "$OUT/$name.txt"
    [ "$status" -eq 0 ] || FAILED=$((FAILED + 1))
}

# training NAME SECONDS ARGUMENTS...: train for a while, stop as Ctrl-C does, and look at what was left
training() {
    local name=$1 limit=$2 status
    shift 2
    timeout -s INT -k 20 "$limit" "$PYTHON" -m pytest_medgan train "$@" --out "$RUNS/$name" --resume \
        >> "$OUT/$name.txt" 2>&1
    status=$?
    echo "== training $name: exit $status, $(left) s left"
    tail -n 3 "$OUT/$name.txt"
    cp "$RUNS/$name/history.csv" "$OUT/$name-history.csv" 2> /dev/null
    cp "$(ls "$RUNS/$name"/samples-*.png 2> /dev/null | tail -n 1)" "$OUT/$name-samples.png" 2> /dev/null
    ls "$RUNS/$name"/checkpoint-*.safetensors > /dev/null || FAILED=$((FAILED + 1))
}

if [ -n "$TINY" ]; then
    DEVICE=cpu GPU_OPTION="" ROWS=64 SPEED="--size 16 --narrow --steps 2 --threads 1" IMAGES=2 ROUNDS=1
    export OMP_NUM_THREADS=1
    SIZE=16 DATA=phantom:3x2 NETWORKS="--generator-width 4 --discriminator-width 4 --latent 8"
    DCGAN="--batch 2 --checkpoint-every 5 --grid-every 5" PGGAN="--batch 4 --checkpoint-every 5 --grid-every 5"
else
    DEVICE=cuda GPU_OPTION="--medgan-gpu" ROWS=6080 SPEED="" IMAGES=64 ROUNDS=4
    SIZE=128 DATA=${MEDGAN_GPU_DATA:-phantom} NETWORKS=""
    DCGAN="--batch 64 --checkpoint-every 500 --grid-every 1000"
    PGGAN="--batch 16 --checkpoint-every 1000 --grid-every 2000"
fi

{
    nvidia-smi -L 2> /dev/null || echo "no GPU"
    nproc
    "$PYTHON" -c "import sys, torch; print(sys.version.split()[0], 'torch', torch.__version__, torch.version.cuda)"
} > "$OUT/environment.txt" 2>&1
cat "$OUT/environment.txt"

# the files that hold such tests alone, so that packages which only other tests import may be missing
TESTS=$(grep -rl --include='test_*.py' 'mark.medgan_gpu' tests)
part tests 150 "$PYTHON" -m pytest -q -m medgan_gpu $GPU_OPTION $TESTS
SHOWN=20 part gan-speed 120 "$PYTHON" benchmarks/gan_speed.py --device $DEVICE $SPEED
SHOWN=20 part embedding 100 "$PYTHON" benchmarks/embedding_speed.py --device $DEVICE --images $IMAGES --rounds $ROUNDS
SHOWN=20 part embedding-cpu 100 "$PYTHON" benchmarks/embedding_speed.py --device cpu --images $((IMAGES / 2)) --rounds $ROUNDS
SHOWN=18 part metrics 100 "$PYTHON" benchmarks/gpu_metrics.py --device $DEVICE --rows $ROWS

# both networks at full width for the time left: each is interrupted once and resumed
SLICE=$((($(left) - 10) / 4))
[ "$SLICE" -ge $((TOTAL / 40 + 1)) ] || SLICE=$((TOTAL / 40 + 1))
COMMON="--images $DATA --crop image --size $SIZE --device $DEVICE --cache-dir $RUNS/cache $NETWORKS"
for turn in 1 2; do
    training dcgan $SLICE dcgan $COMMON $DCGAN --steps 1000000 --tolerance 0 --penalty 0.1 --learning-rate 4e-4 \
        --shift 8 --average 0.999 --precision bfloat16
    training pggan $SLICE pggan $COMMON $PGGAN --fading 100000 --stable 100000 --loss logistic --penalty 0.3 \
        --penalty-every 8 --precision bfloat16
done
echo "== $FAILED parts failed, $(($(date +%s) - BEGUN)) s in all"
exit "$FAILED"
