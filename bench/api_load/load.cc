#include "load.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "rt/file_system.h"
#include "rt/sync.h"

namespace knarr::bench {
namespace {

constexpr size_t kAnswerMax = size_t{1} << 30;
constexpr size_t kProcFileMax = 1 << 20;
constexpr size_t kPodBytes = 1850;
constexpr size_t kConfigMapData = 1024;
/// Handshakes of many connections at a time.
constexpr size_t kDialsMax = 32;

}  // namespace

Result<double> Meter::CpuSeconds() const {
  double ticks = 0;
  for (const std::string& pid : pids_) {
    const std::string text = TRY(runtime_.files().ReadFile("/proc/" + pid + "/stat", kProcFileMax));
    // The name, in parentheses, may hold spaces.
    const auto words = Split(std::string_view(text).substr(text.rfind(')') + 2), ' ');
    constexpr size_t kUser = 11;  // utime is field 14, the first behind the name is 3
    if (words.size() < kUser + 2) return Internal("/proc/" + pid + "/stat is short");
    ticks += TRY(ParseDouble(words[kUser])) + TRY(ParseDouble(words[kUser + 1]));
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Result<double> Meter::PssBytes() const {
  double bytes = 0;
  for (const std::string& pid : pids_) {
    const std::string text = TRY(runtime_.files().ReadFile("/proc/" + pid + "/smaps_rollup", kProcFileMax));
    const size_t at = text.find("\nPss:");
    if (at == std::string::npos) return Internal("/proc/" + pid + "/smaps_rollup has no Pss");
    bytes += std::strtod(text.c_str() + at + 5, nullptr) * 1024;
  }
  return bytes;
}

Result<double> Meter::RssBytes() const {
  double bytes = 0;
  for (const std::string& pid : pids_) {
    const std::string text = TRY(runtime_.files().ReadFile("/proc/" + pid + "/statm", kProcFileMax));
    const auto words = Split(text, ' ');
    if (words.size() < 2) return Internal("/proc/" + pid + "/statm is short");
    bytes += TRY(ParseDouble(words[1])) * static_cast<double>(sysconf(_SC_PAGESIZE));
  }
  return bytes;
}

double Latencies::At(double quantile) {
  if (all_.empty()) return 0;
  const auto index = static_cast<size_t>(quantile * static_cast<double>(all_.size() - 1));
  std::nth_element(all_.begin(), all_.begin() + static_cast<ptrdiff_t>(index), all_.end());
  return all_[index];
}

Result<std::unique_ptr<client::HttpClient>> Load::Connect() {
  auto client = TRY(client::HttpClient::Create(runtime, config));
  TRY(client->GetRaw("/version"));
  return client;
}

Result<std::vector<std::unique_ptr<client::HttpClient>>> Load::Connect(int64_t count) {
  std::vector<std::unique_ptr<client::HttpClient>> out(static_cast<size_t>(count));
  Ok failed;
  size_t next = 0;
  rt::TaskGroup group(runtime, "dial");
  for (size_t i = 0; i < std::min(out.size(), kDialsMax); ++i) {
    group.Spawn("dial", [&] {
      while (failed.ok() && next < out.size()) {
        const size_t mine = next++;
        auto client = Connect();
        if (!client.ok()) {
          failed = client.status();
          return;
        }
        out[mine] = std::move(*client);
      }
    });
  }
  group.Join();
  TRY(std::move(failed));
  return out;
}

Result<size_t> Load::Do(client::HttpClient& client, const net::ClientRequest& request) {
  auto response = TRY(client.Send(request));
  char part[16 << 10];
  size_t size = 0;
  while (true) {
    const size_t count = TRY(response->Read(part, sizeof part));
    if (count == 0) return size;
    size += count;
    if (size > kAnswerMax) return Internal("an answer beyond a gibibyte");
  }
}

std::string Load::Path(std::string_view plural, std::string_view name) const {
  std::string path = fmt::format("/api/v1/namespaces/{}/{}", options.ns, plural);
  if (!name.empty()) path += fmt::format("/{}", name);
  return path;
}

net::ClientRequest Load::Post(client::HttpClient& client, std::string_view plural, std::string body) const {
  net::ClientRequest request = client.MakeRequest("POST", Path(plural));
  request.headers.Set("Content-Type", "application/json");
  request.body = std::move(body);
  return request;
}

void Load::Figure(std::string_view name, double value, std::string_view unit) const {
  double load[1] = {0};
  if (getloadavg(load, 1) != 1) load[0] = 0;
  fmt::print(R"({{"bench":"api","target":"{}","name":"{}","value":{:.6g},"unit":"{}","load":{:.1f}}})"
             "\n",
             options.target, name, value, unit, load[0]);
  std::fflush(stdout);
}

Result<Stretch> Stretch::Begin(const Load& load) {
  Stretch stretch(load);
  stretch.cpu_ = TRY(load.meter.CpuSeconds());
  stretch.own_cpu_ = TRY(load.own.CpuSeconds());
  stretch.began_ = load.runtime.Mono();
  return stretch;
}

Ok Stretch::End(const std::string& name, size_t done, Latencies& latencies) const {
  const double seconds = std::chrono::duration<double>(load_.runtime.Mono() - began_).count();
  const double cpu = TRY(load_.meter.CpuSeconds()) - cpu_;
  const double own_cpu = TRY(load_.own.CpuSeconds()) - own_cpu_;
  const auto count = static_cast<double>(std::max<size_t>(done, 1));
  load_.Figure(name + ".rate", static_cast<double>(done) / seconds, "/s");
  if (!load_.meter.empty()) load_.Figure(name + ".cpu", cpu * 1e6 / count, "us");
  load_.Figure(name + ".client-cpu", own_cpu * 1e6 / count, "us");
  load_.Figure(name + ".p50", latencies.At(0.5), "ms");
  load_.Figure(name + ".p99", latencies.At(0.99), "ms");
  return {};
}

std::string ConfigMapBody(const std::string& name) {
  return fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}","labels":{{"app":"bench"}}}},)"
                     R"("data":{{"value":"{}"}}}})",
                     name, std::string(kConfigMapData, 'x'));
}

std::string PodBody(const std::string& name) {
  std::string probe = R"({"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"initialDelaySeconds":5,)"
                      R"("periodSeconds":10,"timeoutSeconds":2,"failureThreshold":3})";
  std::string env;
  for (int i = 0; i < 6; ++i) {
    env += fmt::format(R"({}{{"name":"SETTING_{}","value":"some value of setting {}"}})", i == 0 ? "" : ",", i, i);
  }
  std::string head =
      fmt::format(R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{}","labels":{{"app":"bench","tier":"web",)"
                  R"("pod-template-hash":"5d59d67564"}},"annotations":{{"example.com/note":")",
                  name);
  std::string tail = fmt::format(
      R"("}}}},"spec":{{"schedulerName":"nobody","terminationGracePeriodSeconds":30,"containers":[{{"name":"main",)"
      R"("image":"registry.example/web/frontend:1.25.3","imagePullPolicy":"IfNotPresent",)"
      R"("command":["/bin/server","--config=/etc/web/config.yaml"],"ports":[{{"name":"http","containerPort":8080}}],)"
      R"("env":[{}],"resources":{{"requests":{{"cpu":"100m","memory":"64Mi"}},"limits":{{"memory":"128Mi"}}}},)"
      R"("livenessProbe":{},"readinessProbe":{},"volumeMounts":[{{"name":"config","mountPath":"/etc/web"}},)"
      R"({{"name":"scratch","mountPath":"/var/scratch"}}]}}],"volumes":[{{"name":"config","configMap":)"
      R"({{"name":"web"}}}},{{"name":"scratch","emptyDir":{{}}}}]}}}})",
      env, probe, probe);
  const size_t size = head.size() + tail.size();
  return head + std::string(size < kPodBytes ? kPodBytes - size : 0, 'x') + tail;
}

}  // namespace knarr::bench
