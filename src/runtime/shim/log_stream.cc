#include "runtime/shim/log_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace knarr::shim {

namespace {

constexpr int kPartsMax = 256;

void TwoDigits(char* out, int value) {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

void FormatLogTime(int64_t ns, char out[31]) {
  const int64_t seconds = ns / 1000000000;
  int64_t nanos = ns % 1000000000;
  // Days to a date in the proleptic Gregorian calendar (H. Hinnant's civil_from_days).
  const int64_t days = seconds / 86400 + 719468;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_index = (5 * day_of_year + 2) / 153;
  const int day = static_cast<int>(day_of_year - (153 * month_index + 2) / 5 + 1);
  const int month = static_cast<int>(month_index < 10 ? month_index + 3 : month_index - 9);
  const int year = static_cast<int>(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
  const int second_of_day = static_cast<int>(seconds % 86400);
  memcpy(out, "0000-00-00T00:00:00.000000000Z", 31);
  TwoDigits(out, year / 100);
  TwoDigits(out + 2, year % 100);
  TwoDigits(out + 5, month);
  TwoDigits(out + 8, day);
  TwoDigits(out + 11, second_of_day / 3600);
  TwoDigits(out + 14, second_of_day / 60 % 60);
  TwoDigits(out + 17, second_of_day % 60);
  for (int i = 28; i >= 20; i--) {
    out[i] = static_cast<char>('0' + nanos % 10);
    nanos /= 10;
  }
}

int LogFile::Open(const char* path) {
  if (*path == '\0') return 0;
  fd_ = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  return fd_ < 0 ? errno : 0;
}

void LogFile::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void LogFile::Write(struct iovec* parts, int count) {
  if (fd_ < 0 || count == 0) return;
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  ssize_t written;
  do {
    written = writev(fd_, parts, count);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(size)) return;
  lost_bytes_ += size;
  if (written <= 0) return;
  // Half a line at the end would run into the next one: take the write back as a whole.
  struct stat info;
  if (fstat(fd_, &info) == 0 && info.st_size >= written && ftruncate(fd_, info.st_size - written) == 0) return;
  const char newline = '\n';  // truncation refused: at least end the broken line, when there is room for that
  if (write(fd_, &newline, 1) == 1) lost_bytes_ -= static_cast<uint64_t>(written);
}

void LogStream::Keep(const char* data, size_t size) {
  if (size == 0) return;
  if (partial_ == nullptr) partial_ = static_cast<char*>(malloc(kLineMax));
  if (partial_ == nullptr) abort();
  memcpy(partial_ + partial_size_, data, size);
  partial_size_ += size;
}

void LogStream::Feed(const char* data, size_t size, int64_t now_ns) {
  char full[48];
  FormatLogTime(now_ns, full);
  full[30] = ' ';
  strcpy(full + 31, name_);
  strcat(full, " F ");
  char partial[48];
  strcpy(partial, full);
  const size_t header = strlen(full);
  partial[header - 2] = 'P';
  char newline[] = "\n";
  struct iovec parts[kPartsMax];
  int count = 0;
  const char* const end = data + size;
  while (data < end) {
    const size_t left = static_cast<size_t>(end - data);
    const size_t room = kLineMax - partial_size_;
    const auto* found = static_cast<const char*>(memchr(data, '\n', left < room + 1 ? left : room + 1));
    if (found == nullptr && left <= room) break;
    const size_t taken = found != nullptr ? static_cast<size_t>(found - data) : room;
    parts[count++] = {found != nullptr ? full : partial, header};
    if (partial_size_ > 0) parts[count++] = {partial_, partial_size_};
    // A whole line carries its own newline.
    parts[count++] = {const_cast<char*>(data), taken + (found != nullptr ? 1 : 0)};
    if (found == nullptr) parts[count++] = {newline, 1};
    data += taken + (found != nullptr ? 1 : 0);
    // The kept piece is written before its buffer is used again.
    if (partial_size_ > 0 || count > kPartsMax - 4) {
      file_->Write(parts, count);
      count = 0;
      partial_size_ = 0;
    }
  }
  file_->Write(parts, count);
  Keep(data, static_cast<size_t>(end - data));
  if (partial_size_ == 0 && partial_ != nullptr) {
    free(partial_);
    partial_ = nullptr;
  }
}

void LogStream::Finish(int64_t now_ns) {
  if (partial_size_ > 0) {
    char header[48];
    FormatLogTime(now_ns, header);
    header[30] = ' ';
    strcpy(header + 31, name_);
    strcat(header, " P ");
    char newline[] = "\n";
    struct iovec parts[3] = {{header, strlen(header)}, {partial_, partial_size_}, {newline, 1}};
    file_->Write(parts, 3);
    partial_size_ = 0;
  }
  free(partial_);
  partial_ = nullptr;
}

}  // namespace knarr::shim
