#!/usr/bin/env bash
# Makes the default model from nothing: photographs, tokenizer, the six stages, the release.
# Run it from the project's root, with the extra "train" installed; start it again after an
# interruption and it goes on from the last checkpoints.
set -euo pipefail
[ -d data/photos ] || python -m uav_jax.data.packages data
python -m uav_jax.training.text configs/default/prompt_corpus.txt uav_jax/default
for stage in image_autoencoder image_unet temporal_unet video_decoder anneal flow; do
  python train.py "configs/default/$stage.py" --workdir "runs/$stage"
done
for stage in anneal flow; do
  python -m uav_jax.training.export "configs/default/$stage.py" --workdir "runs/$stage" uav_jax/default
done
