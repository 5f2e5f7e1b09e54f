"""Trains a stage of the model.

python train.py configs/image_autoencoder.py --workdir runs/image_autoencoder
python train.py configs/image_unet.py --workdir runs/image_unet --set optimizer.learning_rate=3e-4
"""

import sys

from uav_jax.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
