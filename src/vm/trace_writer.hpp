// Writes trace lines of all vCPUs to a file or to standard error.
#pragma once

#include "base/error.hpp"
#include "cpu/engine.hpp"

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

namespace strata::vm {

class TraceWriter final : public cpu::TraceSink {
public:
    // An empty path is standard error.
    [[nodiscard]] static Result<std::unique_ptr<TraceWriter>> open(const std::string& path);

    void trace(unsigned vcpu, std::string_view line) override;

private:
    struct Close {
        void operator()(std::FILE* file) const;
    };

    using File = std::unique_ptr<std::FILE, Close>;

    explicit TraceWriter(File file) : file_(std::move(file)) {}

    std::mutex mutex_;
    File file_;
};

} // namespace strata::vm
