#include "proxy/cli/capture_failure.h"

#include <gtest/gtest.h>

namespace pillion::cli {
namespace {

TEST(CaptureFailure, NamesTheLikelyCauseInOneLine) {
  EXPECT_EQ(explain_capture_failure("nft", "Operation not permitted (you must be root)\n"),
            "no permission (run as root, or with CAP_NET_ADMIN); nft said: Operation not permitted "
            "(you must be root)");
  EXPECT_EQ(explain_capture_failure(
                "nft",
                "/dev/stdin:4:9-15: Error: Could not process rule: No such file or directory\n"
                "  chain inbound {\n        ^^^^^^^\n"),
            "this kernel lacks NAT (are nft_chain_nat and nft_redir loaded?); nft said: Could not "
            "process rule: No such file or directory");
}

TEST(CaptureFailure, PassesOnWhatItDoesNotKnow) {
  EXPECT_EQ(explain_capture_failure("nft", "\nError: syntax error, unexpected newline\n^^^\n"),
            "nft failed: syntax error, unexpected newline");
  EXPECT_EQ(explain_capture_failure("ip6tables", ""), "ip6tables failed without a word");
}

}  // namespace
}  // namespace pillion::cli
