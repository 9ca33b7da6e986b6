#include "apiserver/remote_stream.h"

#include <utility>

#include "apiserver/remote_call.h"

namespace knarr::apiserver {
namespace {

class RemoteStream : public net::Stream {
 public:
  RemoteStream(rt::Runtime& here, rt::Runtime& there, std::unique_ptr<net::Stream> stream)
      : here_(here), there_(there), stream_(std::move(stream)), peer_(stream_->peer()) {}
  ~RemoteStream() override {
    rt::CallOn(here_, there_, [this] { stream_.reset(); });
  }

  // The other thread reads into and writes from this fiber's memory, which waits for it.
  Result<size_t> Read(char* out, size_t size) override {
    return CallOnCancellable(here_, there_, [&] { return stream_->Read(out, size); });
  }
  Ok WaitReadable() override {
    return CallOnCancellable(here_, there_, [&] { return stream_->WaitReadable(); });
  }
  Ok Write(std::string_view bytes) override {
    return CallOnCancellable(here_, there_, [&] { return stream_->Write(bytes); });
  }
  Ok CloseWrite() override {
    return CallOnCancellable(here_, there_, [&] { return stream_->CloseWrite(); });
  }
  void Close() override {
    rt::CallOn(here_, there_, [this] { stream_->Close(); });
  }
  std::string peer() const override { return peer_; }

 private:
  rt::Runtime& here_;
  rt::Runtime& there_;
  std::unique_ptr<net::Stream> stream_;
  const std::string peer_;
};

}  // namespace

std::unique_ptr<net::Stream> BringHere(rt::Runtime& here, rt::Runtime& there, std::unique_ptr<net::Stream> stream) {
  if (&here == &there) return stream;
  return std::make_unique<RemoteStream>(here, there, std::move(stream));
}

}  // namespace knarr::apiserver
