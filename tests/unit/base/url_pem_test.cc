#include "proxy/base/url_pem.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion {
namespace {

std::string pem(std::string_view der) {
  std::string out(url_pem_room(der.size()), '#');
  out.resize(static_cast<size_t>(write_url_pem(out.data(), der) - out.data()));
  return out;
}

TEST(UrlPem, HasLinesOf64CharactersAndEscapes) {
  const std::string begin = "-----BEGIN%20CERTIFICATE-----%0A";
  const std::string end = "-----END%20CERTIFICATE-----%0A";
  EXPECT_EQ(pem(""), begin + end);
  EXPECT_EQ(pem("\xff"), begin + "%2Fw%3D%3D%0A" + end);
  EXPECT_EQ(pem("\xfb\xef\xbe"), begin + "%2B%2B%2B%2B%0A" + end);
  const std::string line = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";
  EXPECT_EQ(pem(std::string(48, 'a')), begin + line + "%0A" + end);
  EXPECT_NE(pem(std::string(49, 'a')).find("%0AYQ%3D%3D%0A"), std::string::npos);
}

TEST(UrlPem, FitsIntoItsRoom) {
  for (size_t size = 0; size < 400; ++size) {
    const std::string worst(size, '\xff');  // nothing but '/'
    EXPECT_LE(pem(worst).size(), url_pem_room(size)) << size;
  }
}

}  // namespace
}  // namespace pillion
