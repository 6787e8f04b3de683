#include "backends/char/file.hpp"

#include "backends/char/stream.hpp"
#include "base/file_descriptor.hpp"

#include <fcntl.h>

namespace strata::backends {

namespace {

class OutputFile final : public CharBackend {
public:
    OutputFile(EventLoop& loop, FileDescriptor file)
        : file_(std::move(file)), stream_(loop, -1, file_.get(), Stream::Handlers{}) {}

    ~OutputFile() override { stream_.drain(); }

    void write(std::span<const std::byte> bytes) override { stream_.write(bytes); }

private:
    FileDescriptor file_;
    Stream stream_;
};

} // namespace

Result<std::unique_ptr<CharBackend>> open_file(EventLoop& loop, const std::string& path) {
    FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
    if (!file) {
        return fail_errno("open", path);
    }
    return std::make_unique<OutputFile>(loop, std::move(file));
}

} // namespace strata::backends
