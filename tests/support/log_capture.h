#pragma once
// LogCapture: what the operational log says while it lives; one at a time, before any writer is
// attached.  Levels are as usual again when it dies.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "proxy/base/log.h"

namespace pillion::testing {

class LogCapture {
 public:
  explicit LogCapture(log::Level level = log::Level::kInfo) {
    EXPECT_EQ(::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK), 0);
    log::set_output(pipe_[1]);
    log::set_level(level);
  }
  ~LogCapture() {
    log::set_level(log::Level::kInfo);
    log::set_output(STDERR_FILENO);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // All so far.
  const std::string& text() {
    char chunk[4096];
    for (ssize_t n; (n = ::read(pipe_[0], chunk, sizeof chunk)) > 0;)
      text_.append(chunk, static_cast<size_t>(n));
    return text_;
  }
  // How often it was said.
  size_t count(std::string_view what) {
    size_t n = 0;
    for (size_t at = text().find(what); at != std::string::npos; at = text_.find(what, at + 1)) ++n;
    return n;
  }

 private:
  int pipe_[2];
  std::string text_;
};

}  // namespace pillion::testing
