#pragma once
// Which counter of http1.* a refused request belongs to.

#include "proxy/base/failure.h"
#include "proxy/stats/blocks.h"

namespace pillion::core {

inline void count_malformed(stats::Http1Stats& stats, FailureKind kind) {
  switch (kind) {
    case FailureKind::kLengthAndChunked:
    case FailureKind::kBadContentLength:
    case FailureKind::kBadTransferEncoding:
      return stats.requests_rejected_ambiguous_length.inc();
    case FailureKind::kLineTooLong:
      return stats.requests_rejected_line_too_long.inc();
    case FailureKind::kHeadTooLarge:
      return stats.requests_rejected_headers_too_large.inc();
    case FailureKind::kTooManyFields:
      return stats.requests_rejected_too_many_headers.inc();
    case FailureKind::kChunkOverhead:
      return stats.requests_rejected_chunk_overhead.inc();
    case FailureKind::kBadTrailer:
      return stats.requests_rejected_trailers.inc();
    case FailureKind::kTooManyBlankLines:
      return stats.requests_rejected_blank_lines.inc();
    case FailureKind::kUnderscoreField:
      return stats.requests_rejected_with_underscores_in_headers.inc();
    default:
      return stats.requests_rejected_malformed.inc();
  }
}

}  // namespace pillion::core
