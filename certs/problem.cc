#include "certs/problem.h"

namespace pillion::certs {

std::string first_problem(const config::Errors& errors) {
  return first_problem(errors.to_string());
}

std::string first_problem(std::string_view lines) {
  const std::string_view first = lines.substr(0, lines.find('\n'));
  return std::string(first.empty() ? "it is no secret" : first);
}

}  // namespace pillion::certs
