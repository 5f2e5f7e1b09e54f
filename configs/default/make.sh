#!/usr/bin/env bash
# Makes the default model from nothing: photographs, tokenizer, teacher targets, the three stages,
# the release. Run it from the project's root, with the extras "train" and "peers" installed; start
# it again after an interruption and it goes on where it was.
set -euo pipefail
[ -d data/photos ] || python -m uav_jax.data.packages data
python -m uav_jax.training.text configs/default/prompt_corpus.txt uav_jax/default
for kind in image clip; do
  python -m uav_jax.training.make_targets "configs/default/${kind}_targets.py"
  python train.py "configs/default/${kind}_distillation.py" --workdir "runs/${kind}_distillation"
done
python train.py configs/default/flow.py --workdir runs/flow
for stage in clip_distillation flow; do
  python -m uav_jax.training.export "configs/default/$stage.py" --workdir "runs/$stage" uav_jax/default
done
