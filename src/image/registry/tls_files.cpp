#include "image/registry/tls_files.hpp"

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace strata::image {
namespace {

std::vector<std::string> directories() {
    std::vector<std::string> all;
    for (const char* tool : {"strata", "containers", "docker"}) {
        if (const char* home = std::getenv("HOME")) {
            all.push_back(std::string(home) + "/.config/" + tool + "/certs.d/");
        }
        all.push_back(std::string("/etc/") + tool + "/certs.d/");
    }
    return all;
}

} // namespace

TlsFiles find_tls_files(const std::string& host) {
    TlsFiles files;
    for (const auto& directory : directories()) {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(directory + host, ignored)) {
            const auto kind = entry.path().extension();
            if (kind == ".crt" && files.ca.empty()) {
                files.ca = entry.path();
            } else if (kind == ".cert" && files.certificate.empty()) {
                files.certificate = entry.path();
                files.key = std::filesystem::path(entry.path()).replace_extension(".key");
            }
        }
    }
    return files;
}

} // namespace strata::image
