"""Property tests try the same examples in each run, so that a change is judged by itself.

`HYPOTHESIS_PROFILE=default` tries new ones each time, as `make random-order` does.
"""

import os

import hypothesis

hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
