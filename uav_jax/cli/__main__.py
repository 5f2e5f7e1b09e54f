"""`python -m uav_jax.cli` is `infer.py`."""

import sys

from uav_jax.cli.run import main

sys.exit(main())
