#include "backends/char/file.hpp"

#include "backends/char/stream.hpp"
#include "base/open_file.hpp"

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
    auto file = open_to_write(path, "console file");
    if (!file) {
        return std::unexpected(file.error());
    }
    return std::make_unique<OutputFile>(loop, std::move(*file));
}

} // namespace strata::backends
