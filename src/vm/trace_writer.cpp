#include "vm/trace_writer.hpp"

#include <fmt/format.h>

namespace strata::vm {

void TraceWriter::Close::operator()(std::FILE* file) const {
    if (file == stderr) {
        std::fflush(file);
    } else {
        std::fclose(file);
    }
}

Result<std::unique_ptr<TraceWriter>> TraceWriter::open(const std::string& path) {
    File file(path.empty() ? stderr : std::fopen(path.c_str(), "we"));
    if (!file) {
        return fail_errno("write the trace to", path);
    }
    return std::unique_ptr<TraceWriter>(new TraceWriter(std::move(file)));
}

void TraceWriter::trace(unsigned vcpu, std::string_view line) {
    const std::lock_guard lock(mutex_);
    fmt::print(file_.get(), "cpu{} {}\n", vcpu, line);
}

} // namespace strata::vm
