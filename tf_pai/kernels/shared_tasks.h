// How the tasks of one kernel are divided among threads.

#ifndef TF_PAI_KERNELS_SHARED_TASKS_H_
#define TF_PAI_KERNELS_SHARED_TASKS_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "other_processor.h"

namespace tf_pai {

// Tasks that whichever thread is free takes next. A thread that comes too late
// finds none, and nobody waits for it: waking a thread may take longer than the
// work. Held by all threads, since the last may come when the call is over.
class SharedTasks {
 public:
  SharedTasks(int64_t n, const std::function<void(int64_t)>* task)
      : n_(n), task_(task) {}

  // Takes tasks until there are none. `task_` is only read before Wait returns.
  void Work() {
    for (int64_t i; (i = next_++) < n_;) {
      (*task_)(i);
      if (++done_ < n_) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }

  // Until the tasks that other threads took are done: soon.
  void Wait() {
    for (int i = 0; i < kSpins && done_ < n_; ++i) std::this_thread::yield();
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [this] { return done_ == n_; });
  }

 private:
  static constexpr int kSpins = 200;
  const int64_t n_;
  const std::function<void(int64_t)>* const task_;
  std::atomic<int64_t> next_{0}, done_{0};
  std::mutex mutex_;
  std::condition_variable finished_;
};

// Runs task(0) ... task(n - 1) on this thread and on those that `schedule`
// gives work to, `threads` at most in all.
template <class Schedule>
void RunShared(int64_t n, int threads, const std::function<void(int64_t)>& task,
               const Schedule& schedule) {
  if (n <= 1 || threads <= 1) {
    for (int64_t i = 0; i < n; ++i) task(i);
    return;
  }
  const auto tasks = std::make_shared<SharedTasks>(n, &task);
  const int home = CurrentProcessor();
  for (int64_t i = 1; i < std::min<int64_t>(n, threads); ++i) {
    schedule([tasks, home] {
      const OtherProcessor other(home);
      tasks->Work();
    });
  }
  tasks->Work();
  tasks->Wait();
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_SHARED_TASKS_H_
