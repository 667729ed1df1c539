// Lets other threads have this processor, as long as that costs little.

#ifndef TF_PAI_KERNELS_GIVE_WAY_H_
#define TF_PAI_KERNELS_GIVE_WAY_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace tf_pai {

// For a moment, leaves the core to its other thread.
inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Runs a thread that waits for this processor, if there is one: it may be one
// of the kernel's. A strange thread that computes keeps the processor for
// milliseconds: after such a loss nothing is given away for kRest times as
// long, so that over time this costs a small part of it at most.
inline void GiveWay() {
  using Clock = std::chrono::steady_clock;
  constexpr int kRest = 32;
  constexpr Clock::duration kLongest = std::chrono::milliseconds(200);
  constexpr Clock::duration kLoss = std::chrono::microseconds(500);
  static std::atomic<Clock::rep> rest_until{0};
  const Clock::time_point begin = Clock::now();
  if (begin.time_since_epoch().count() < rest_until) {
    Pause();
    return;
  }
  std::this_thread::yield();
  const Clock::time_point end = Clock::now();
  if (end - begin > kLoss) {
    const auto rest = std::min(kRest * (end - begin), kLongest);
    rest_until = (end + rest).time_since_epoch().count();
  }
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_GIVE_WAY_H_
