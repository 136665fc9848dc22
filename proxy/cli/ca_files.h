#pragma once
// Small files of `pillion ca`: read, made new, or replaced as a whole.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace pillion::cli {

bool file_exists(const std::string& name);
// Errors name the file and the system's reason.
Result<std::string> read_file(const std::string& name);
// Fails if the file is there.  The umask may narrow `mode`.
Status<> create_file(const std::string& name, std::string_view text, mode_t mode);
// Readers see the old or the new content, never a part; an old file's mode is not kept.
Status<> replace_file(const std::string& name, std::string_view text, mode_t mode);
// With the folders above it.
Status<> make_folder(const std::string& name);

}  // namespace pillion::cli
