// What the drivers need from their surroundings: threads and scratch memory.
// TensorFlow provides both in the ops; check.cc provides its own.

#ifndef TF_PAI_KERNELS_RUNTIME_H_
#define TF_PAI_KERNELS_RUNTIME_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace tf_pai {

// Calls task(0) ... task(count - 1), in any order, some at the same time. The
// first tasks of two stages are run by the same thread, if it is in time, and
// so the next: best if they use the same memory. A task must not throw.
struct Stage {
  int64_t count;
  std::function<void(int64_t)> task;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual int threads() const = 0;

  // Runs the stages, each after the one before, and waits.
  virtual void Run(const std::vector<Stage>& stages) = 0;

  void For(int64_t count, std::function<void(int64_t)> task) {
    Run({{count, std::move(task)}});
  }

  // `floats` floats, aligned to 64 bytes, that live as long as this object;
  // null where there is no memory.
  virtual float* Scratch(int64_t floats) = 0;
};

// The i-th of n parts of [0, total), of about equal length.
inline int64_t PartBegin(int64_t total, int64_t i, int64_t n) {
  return total * i / n;
}

inline int64_t RoundUp(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_RUNTIME_H_
