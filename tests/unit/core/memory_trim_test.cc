#include "proxy/core/memory_trim.h"

#include <gtest/gtest.h>

namespace pillion::core {
namespace {

TEST(MemoryTrim, RunsOnceAfterABurstOfStreams) {
  io::Loop loop;
  MemoryTrim memory(loop);
  for (size_t i = 0; i < MemoryTrim::kBurst; ++i) memory.stream_began();
  for (size_t i = 0; i < MemoryTrim::kBurst; ++i) memory.stream_ended();
  loop.skip(MemoryTrim::kDelay - std::chrono::milliseconds(100));
  EXPECT_EQ(memory.trims(), 0u) << "not while it may go on";
  loop.skip(std::chrono::milliseconds(200));
  EXPECT_EQ(memory.trims(), 1u);
  memory.stream_began();
  memory.stream_ended();
  loop.skip(2 * MemoryTrim::kDelay);
  EXPECT_EQ(memory.trims(), 1u) << "the burst is over";
}

TEST(MemoryTrim, DoesNothingForManyStreamsOneAfterAnother) {
  io::Loop loop;
  MemoryTrim memory(loop);
  for (size_t i = 0; i < 10 * MemoryTrim::kBurst; ++i) {
    memory.stream_began();
    memory.stream_ended();
  }
  loop.skip(2 * MemoryTrim::kDelay);
  EXPECT_EQ(memory.trims(), 0u);
}

}  // namespace
}  // namespace pillion::core
