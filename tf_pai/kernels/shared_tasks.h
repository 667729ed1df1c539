// How the tasks of one kernel are divided among threads.

#ifndef TF_PAI_KERNELS_SHARED_TASKS_H_
#define TF_PAI_KERNELS_SHARED_TASKS_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "give_way.h"
#include "other_processor.h"
#include "runtime.h"

namespace tf_pai {

// Stages of tasks that whichever thread is free takes next. A thread that comes
// too late finds none, and nobody waits for it: waking a thread may take longer
// than the work. Held by all threads, since the last may come when the call is
// over.
//
// A stage's tasks lie in as many places as there are threads. Each thread
// begins with those of its own place, the same in all stages, since its cache
// has what they need; then it helps the others.
class SharedTasks {
 public:
  SharedTasks(const std::vector<Stage>* stages, int places)
      : stages_(stages), places_(places), taken_(places) {
    for (const Stage& stage : *stages) {
      progress_.push_back(std::make_unique<Progress>(stage.count, places));
    }
  }

  // Takes tasks until there are none. `stages_` is only read for a task that
  // was taken, so before the last Wait returns.
  void Work() {
    const int place = TakePlace();
    for (size_t stage = 0; stage < progress_.size(); ++stage) {
      if (stage > 0) Wait(stage - 1);
      WorkAt(stage, place, 1);
      // One that is late may wait for this very processor.
      if (arrived_ < places_) GiveWay();
      for (int i = 0; i < places_; ++i) {
        WorkAt(stage, (place + i) % places_);
      }
    }
  }

  // Until the tasks of all stages are done, those that other threads took
  // included.
  void Wait() { Wait(progress_.size() - 1); }

  // Whether nothing is left to do or to wait for.
  bool Over() const {
    return std::all_of(progress_.begin(), progress_.end(),
                       [](const auto& p) { return p->done == p->count; });
  }

 private:
  // Waking up takes as long.
  static constexpr std::chrono::microseconds kSpin{100};

  struct alignas(64) Counter {  // in a cache line of its own
    std::atomic<int64_t> value{0};
  };

  // Of one stage.
  struct Progress {
    Progress(int64_t count, int places) : count(count), next(places) {
      for (int i = 0; i < places; ++i) {
        next[i].value = PartBegin(count, i, places);
      }
    }
    const int64_t count;
    std::vector<Counter> next;  // task of each place
    alignas(64) std::atomic<int64_t> done{0};
  };

  // That of this processor, whose cache may have it from the kernel before.
  int TakePlace() {
    int place = std::max(0, CurrentProcessor()) % places_;
    while (taken_[place].exchange(true)) place = (place + 1) % places_;
    ++arrived_;
    return place;
  }

  // Takes `most` tasks of one place.
  void WorkAt(size_t stage, int place, int64_t most = INT64_MAX) {
    Progress& p = *progress_[stage];
    const int64_t end = PartBegin(p.count, place + 1, places_);
    std::atomic<int64_t>& next = p.next[place].value;
    for (int64_t i; most-- > 0 && next < end && (i = next++) < end;) {
      (*stages_)[stage].task(i);
      if (++p.done < p.count) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_all();
    }
  }

  void Wait(size_t stage) {
    using Clock = std::chrono::steady_clock;
    const Progress& p = *progress_[stage];
    const Clock::time_point until = Clock::now() + kSpin;
    for (int i = 1; p.done < p.count; ++i) {
      if (i % 64 != 0) {
        Pause();
      } else if (Clock::now() < until) {
        GiveWay();
      } else {
        std::unique_lock<std::mutex> lock(mutex_);
        finished_.wait(lock, [&] { return p.done == p.count; });
      }
    }
  }

  const std::vector<Stage>* const stages_;
  const int places_;
  std::vector<std::atomic<bool>> taken_;
  std::atomic<int> arrived_{0};
  std::vector<std::unique_ptr<Progress>> progress_;
  std::mutex mutex_;
  std::condition_variable finished_;
};

// Runs the stages on this thread and on those that `schedule` gives work to,
// `threads` at most in all.
template <class Schedule>
void RunShared(const std::vector<Stage>& stages, int threads,
               const Schedule& schedule) {
  int64_t most = 0;
  for (const Stage& stage : stages) most = std::max(most, stage.count);
  const int places = static_cast<int>(std::min<int64_t>(most, threads));
  if (places <= 1) {
    for (const Stage& stage : stages) {
      for (int64_t i = 0; i < stage.count; ++i) stage.task(i);
    }
    return;
  }
  const auto tasks = std::make_shared<SharedTasks>(&stages, places);
  const int home = CurrentProcessor();
  for (int i = 1; i < places; ++i) {
    schedule([tasks, home] {
      if (tasks->Over()) return;
      const OtherProcessor other(home);
      tasks->Work();
    });
  }
  tasks->Work();
  tasks->Wait();
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_SHARED_TASKS_H_
