"""Property tests try the same examples in each run, so that a change is judged by itself.

`HYPOTHESIS_PROFILE=default` tries new ones each time, as `make random-order` does.

TensorFlow computes without oneDNN, which it has on or off by the kind of processor: it aborts the process on
convolutions of few channels (TensorFlow 2.21, AVX2), and results would be the same on no two machines.
"""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # read when TensorFlow is loaded

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
