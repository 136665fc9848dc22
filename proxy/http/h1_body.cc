#include "proxy/http/h1_body.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/ascii.h"
#include "proxy/http/h1_scan.h"
#include "proxy/http/limits.h"

namespace pillion::http {
namespace {

// Pieces above this size are handed out on their own: moving them would cost more than a call.
constexpr size_t kMoveLimit = 4096;

}  // namespace

H1BodyReader::Result H1BodyReader::feed(char* input, size_t size) noexcept {
  switch (framing_) {
    case Framing::kNone:
      return {{}, 0, true, FailureKind::kNone};
    case Framing::kLength: {
      const auto n = static_cast<size_t>(std::min<uint64_t>(size, remaining_));
      remaining_ -= n;
      return {{input, n}, n, remaining_ == 0, FailureKind::kNone};
    }
    case Framing::kUntilClose:
      return {{input, size}, size, false, FailureKind::kNone};
    case Framing::kChunked:
      return feed_chunked(input, size);
  }
  return {};
}

FailureKind H1BodyReader::step(char c) noexcept {
  switch (state_) {
    case State::kSize: {
      const int value = hex_digit(c);
      if (value >= 0) {
        if (digits_ == 15) return FailureKind::kBadChunk;  // 2^60 bytes are no chunk
        remaining_ = remaining_ * 16 + static_cast<uint64_t>(value);
        ++digits_;
        return FailureKind::kNone;
      }
      if (digits_ == 0) return FailureKind::kBadChunk;
      if (c == '\r') {
        state_ = State::kSizeLf;
      } else if (c == ';') {
        state_ = State::kExtension;
      } else {
        return FailureKind::kBadChunk;
      }
      return FailureKind::kNone;
    }
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
      } else if (!is_value_char(c)) {
        return FailureKind::kBadChunk;
      } else if (++extension_ > kMaxChunkExtension || ++overhead_ > kChunkOverheadBytes) {
        return FailureKind::kChunkOverhead;
      }
      return FailureKind::kNone;
    case State::kSizeLf:
      if (c != '\n') return FailureKind::kBadChunk;
      last_chunk_ = remaining_ == 0;
      state_ = State::kData;
      return FailureKind::kNone;
    case State::kDataCr:
      state_ = State::kDataLf;
      return c == '\r' ? FailureKind::kNone : FailureKind::kBadChunk;
    case State::kDataLf:
      state_ = State::kSize;
      digits_ = 0;
      extension_ = 0;
      return c == '\n' ? FailureKind::kNone : FailureKind::kBadChunk;
    case State::kData:
      break;
  }
  return FailureKind::kNone;
}

H1BodyReader::Result H1BodyReader::feed_chunked(char* input, size_t size) noexcept {
  Result result;
  char* out = nullptr;  // end of the data gathered so far
  char* p = input;
  char* const end = input + size;
  last_chunk_ = false;
  while (p != end) {
    if (state_ != State::kData) {
      if (const FailureKind problem = step(*p++); problem != FailureKind::kNone) {
        result.failure = problem;
        break;
      }
      if (last_chunk_) {
        result.done = true;
        break;
      }
      continue;
    }
    const auto n =
        static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(end - p), remaining_));
    if (result.data.empty()) {
      result.data = {p, n};
    } else if (n > kMoveLimit) {
      break;
    } else {
      std::memmove(out, p, n);
      result.data = {result.data.data(), result.data.size() + n};
    }
    out = const_cast<char*>(result.data.data()) + result.data.size();
    p += n;
    remaining_ -= n;
    overhead_ -= static_cast<uint32_t>(std::min<size_t>(overhead_, n));
    if (remaining_ == 0) state_ = State::kDataCr;
  }
  result.consumed = static_cast<size_t>(p - input);
  return result;
}

}  // namespace pillion::http
