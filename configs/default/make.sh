#!/usr/bin/env bash
# Makes the default model from nothing: photographs, tokenizer, the five stages, the release.
# Run it from the project's root, with the extra "train" installed; start it again after an
# interruption and it goes on from the last checkpoints.
set -euo pipefail
[ -d data/photos ] || python -m uav_jax.data.packages data
python -m uav_jax.training.text configs/default/prompt_corpus.txt uav_jax/default
for stage in image_autoencoder image_unet temporal_unet video_decoder polish; do
  python train.py "configs/default/$stage.py" --workdir "runs/$stage"
done
# A fifth of the network before the last run and four fifths of the one after it.
last=(--workdir runs/polish)
python -m uav_jax.training.export configs/default/polish.py --workdir runs/video_decoder \
  "${last[@]}" "${last[@]}" "${last[@]}" "${last[@]}" uav_jax/default
