// Keeps the threads of one kernel on processors of their own.

#ifndef TF_PAI_KERNELS_OTHER_PROCESSOR_H_
#define TF_PAI_KERNELS_OTHER_PROCESSOR_H_

#ifdef __linux__
#include <sched.h>
#endif

namespace tf_pai {

#ifdef __linux__

// The processor that the calling thread runs on.
inline int CurrentProcessor() { return sched_getcpu(); }

// While it lives, the calling thread does not run on processor `home`, where
// the thread that woke it is at work. Linux may wake a thread right there while
// the other processors seem busy, as one does whose thread spins until there is
// work; and a kernel is over before the balance is restored: two threads would
// have shared one processor. A thread that is elsewhere, or may be nowhere
// else, is left alone.
class OtherProcessor {
 public:
  explicit OtherProcessor(int home) {
    if (sched_getcpu() != home) return;
    if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
    others_ = allowed_;
    CPU_CLR(home, &others_);
    moved_ = CPU_COUNT(&others_) > 0 &&
             sched_setaffinity(0, sizeof others_, &others_) == 0;
  }

  ~OtherProcessor() {
    cpu_set_t now;
    // Where somebody else has moved the thread since, that holds.
    if (moved_ && sched_getaffinity(0, sizeof now, &now) == 0 &&
        CPU_EQUAL(&now, &others_)) {
      sched_setaffinity(0, sizeof allowed_, &allowed_);
    }
  }

  OtherProcessor(const OtherProcessor&) = delete;
  OtherProcessor& operator=(const OtherProcessor&) = delete;

 private:
  cpu_set_t allowed_, others_;
  bool moved_ = false;
};

#else

inline int CurrentProcessor() { return -1; }

// Elsewhere, threads run where the system puts them.
struct OtherProcessor {
  explicit OtherProcessor(int) {}
};

#endif

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_OTHER_PROCESSOR_H_
