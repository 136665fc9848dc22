#pragma once
// Many threads that make and end the same few values, which are held once in the process: the last
// holder of one ends while another thread asks for it.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace pillion::testing {

// `text_of(shared)`: what a Shared, made of a text, holds.
template <typename Shared, typename TextOf>
void make_and_end_by_many_threads(TextOf text_of) {
  const size_t before = Shared::count();
  std::atomic<bool> is_wrong = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&is_wrong, text_of] {
      for (int i = 0; i < 5000; ++i) {
        const std::string text(1, static_cast<char>('a' + i % 3));
        const Shared mine(text);
        const Shared copy = mine;
        if (text_of(copy) != text) is_wrong = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(is_wrong);
  EXPECT_EQ(Shared::count(), before);
}

}  // namespace pillion::testing
