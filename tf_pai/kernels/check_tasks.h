// Checks that the stages of a kernel run one after the other, each task once.

#ifndef TF_PAI_KERNELS_CHECK_TASKS_H_
#define TF_PAI_KERNELS_CHECK_TASKS_H_

#include <numeric>
#include <string>
#include <vector>

#include "check_support.h"

// The tasks write without locks what those of the next stage read.
inline void CheckStages(int count, int next_count, int threads) {
  std::vector<int> first(count), second(next_count);
  int total = 0;
  ThreadRuntime runtime(threads);
  runtime.Run({{count, [&](int64_t i) { ++first[i]; }},
               {0, [&](int64_t) { total = -1; }},
               {next_count,
                [&](int64_t i) {
                  second[i] += std::accumulate(first.begin(), first.end(), 0);
                }},
               {1, [&](int64_t) {
                  total += std::accumulate(second.begin(), second.end(), 0);
                }}});
  const std::vector<int> once(count, 1), all(next_count, count);
  Expect(first == once && second == all && total == count * next_count,
         "stages of " + std::to_string(count) + " and " +
             std::to_string(next_count) + " tasks by " +
             std::to_string(threads) + " threads");
}

// A thread that waits for this sleeps before it is done.
inline double SlowTask(int64_t i) {
  double sum = 0;
  for (int k = 1; k < 1000000 * (1 + i % 3); ++k) sum += 1. / k;
  return sum;
}

inline void CheckSlowStages() {
  std::vector<double> first(3), second(3);
  ThreadRuntime runtime(3);
  runtime.Run(
      {{3, [&](int64_t i) { first[i] = SlowTask(i); }},
       {3, [&](int64_t i) { second[i] = first[2 - i] + SlowTask(0); }}});
  for (int i = 0; i < 3; ++i) {
    Expect(second[i] == SlowTask(2 - i) + SlowTask(0), "slow stages");
  }
}

inline void CheckTasks() {
  for (int i = 0; i < 5; ++i) CheckSlowStages();
  for (const int threads : {1, 2, 3, 8}) {
    for (const int count : {0, 1, 2, 7, 100}) {
      CheckStages(count, 1, threads);
      CheckStages(count, 9, threads);
    }
  }
}

#endif  // TF_PAI_KERNELS_CHECK_TASKS_H_
