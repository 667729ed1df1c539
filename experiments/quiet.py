"""Imports TensorFlow without the lines it writes to stderr before its log level is read."""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # 2: errors

if "tensorflow" not in sys.modules:
    sys.stderr.flush()
    with tempfile.TemporaryFile() as unseen:
        stderr = os.dup(2)
        os.dup2(unseen.fileno(), 2)
        try:
            import tensorflow

            tensorflow.get_logger().setLevel("WARNING")  # files tell at INFO where they are written
            tensorflow.config.list_physical_devices()  # looks for a GPU, and complains where there is none
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
