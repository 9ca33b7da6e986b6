#pragma once

// For tests: tar archives made by hand, so that they can be wrong on purpose.

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr::image {

struct TestEntry {
  std::string path;
  char type = '0';
  std::string data;
  std::string link;
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  long mtime = 1700000000;
  unsigned major = 0;
  unsigned minor = 0;
  std::vector<std::pair<std::string, std::string>> pax;
  long long size_claimed = -1;  ///< what the header says instead of data.size()
};

class TestTar {
 public:
  TestTar& Add(const TestEntry& entry) {
    if (!entry.pax.empty()) {
      std::string records;
      for (const auto& [key, value] : entry.pax) records += Record(key, value);
      Block("pax", 'x', records, {});
    }
    Block(entry.path, entry.type, entry.data, entry);
    return *this;
  }
  TestTar& Directory(const std::string& path, unsigned mode = 0755) {
    return Add({.path = path, .type = '5', .mode = mode});
  }
  TestTar& File(const std::string& path, const std::string& data, unsigned mode = 0644) {
    return Add({.path = path, .data = data, .mode = mode});
  }
  TestTar& Symlink(const std::string& path, const std::string& target) {
    return Add({.path = path, .type = '2', .link = target, .mode = 0777});
  }
  TestTar& HardLink(const std::string& path, const std::string& target) {
    return Add({.path = path, .type = '1', .link = target});
  }
  std::string Finish() const { return bytes_ + std::string(1024, '\0'); }
  const std::string& unfinished() const { return bytes_; }

 private:
  static std::string Record(const std::string& key, const std::string& value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) ++length;
    return std::to_string(length) + " " + key + "=" + value + "\n";
  }
  void Block(const std::string& path, char type, const std::string& data, const TestEntry& entry) {
    std::string block(512, '\0');
    const auto put = [&](size_t at, std::string_view text, size_t most) {
      std::memcpy(block.data() + at, text.data(), text.size() < most ? text.size() : most);
    };
    const auto octal = [&](size_t at, int digits, unsigned long long value) {
      char text[32];
      std::snprintf(text, sizeof text, "%0*llo", digits, value);
      put(at, text, static_cast<size_t>(digits) + 1);
    };
    put(0, path, 100);
    octal(100, 7, entry.mode);
    octal(108, 7, entry.uid);
    octal(116, 7, entry.gid);
    octal(124, 11, entry.size_claimed >= 0 ? static_cast<unsigned long long>(entry.size_claimed) : data.size());
    octal(136, 11, static_cast<unsigned long long>(entry.mtime));
    block[156] = type;
    put(157, entry.link, 100);
    put(257, std::string_view("ustar\00000", 8), 8);
    octal(329, 7, entry.major);
    octal(337, 7, entry.minor);
    std::memset(block.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    octal(148, 6, sum);
    bytes_ += block + data;
    bytes_.append((512 - data.size() % 512) % 512, '\0');
  }
  std::string bytes_;
};

}  // namespace knarr::image
