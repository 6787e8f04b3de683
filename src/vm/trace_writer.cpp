#include "vm/trace_writer.hpp"

#include "base/open_file.hpp"

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
    if (path.empty()) {
        return std::unique_ptr<TraceWriter>(new TraceWriter(File(stderr)));
    }
    auto descriptor = open_to_write(path, "trace file");
    if (!descriptor) {
        return std::unexpected(descriptor.error());
    }
    File file(fdopen(descriptor->release(), "w"));
    return std::unique_ptr<TraceWriter>(new TraceWriter(std::move(file)));
}

void TraceWriter::trace(unsigned vcpu, std::string_view line) {
    const std::lock_guard lock(mutex_);
    fmt::print(file_.get(), "cpu{} {}\n", vcpu, line);
}

} // namespace strata::vm
