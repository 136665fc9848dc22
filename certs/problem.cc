#include "certs/problem.h"

#include <algorithm>

namespace pillion::certs {

std::string first_problem(const config::Errors& errors) {
  std::string text = errors.to_string();
  text.resize(std::min(text.find('\n'), text.size()));
  return text.empty() ? "it is no secret" : text;
}

}  // namespace pillion::certs
