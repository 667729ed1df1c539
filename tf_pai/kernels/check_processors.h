// Checks that a thread leaves its processor to another, and gets it back.

#ifndef TF_PAI_KERNELS_CHECK_PROCESSORS_H_
#define TF_PAI_KERNELS_CHECK_PROCESSORS_H_

#include "check_support.h"
#include "other_processor.h"

#ifdef __linux__

inline cpu_set_t Allowed() {
  cpu_set_t allowed;
  Expect(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "affinity");
  return allowed;
}

// Whether this thread was made to leave a processor. Now and then the system
// moves it just before.
inline bool LeavesItsProcessor() {
  const int home = tf_pai::CurrentProcessor();
  const tf_pai::OtherProcessor other(home);
  const cpu_set_t allowed = Allowed();
  const bool left = !CPU_ISSET(home, &allowed);
  Expect(!left || tf_pai::CurrentProcessor() != home, "still at home");
  return left;
}

inline void CheckOtherProcessor() {
  const cpu_set_t before = Allowed();
  int left = 0;
  for (int i = 0; i < 100; ++i) left += LeavesItsProcessor();
  Expect(CPU_COUNT(&before) == 1 || left > 0, "never left its processor");
  const cpu_set_t after = Allowed();
  Expect(CPU_EQUAL(&before, &after), "its processors were not given back");

  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(tf_pai::CurrentProcessor(), &only);
  Expect(sched_setaffinity(0, sizeof only, &only) == 0, "pinning");
  Expect(!LeavesItsProcessor(), "left the only processor it may use");
  Expect(sched_setaffinity(0, sizeof before, &before) == 0, "unpinning");
}

#else

inline void CheckOtherProcessor() {}

#endif

#endif  // TF_PAI_KERNELS_CHECK_PROCESSORS_H_
