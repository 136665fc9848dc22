#pragma once
// What is wrong with a secret, for whoever sent it and for the log.

#include <string>
#include <string_view>

#include "proxy/config/errors.h"

namespace pillion::certs {

// The first error, without its line end; it has a place and no contents.
std::string first_problem(const config::Errors& errors);
// The same of problems as text, a line each.
std::string first_problem(std::string_view lines);

}  // namespace pillion::certs
