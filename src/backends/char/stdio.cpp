#include "backends/char/stdio.hpp"

#include "backends/char/escape_keys.hpp"
#include "backends/char/raw_mode.hpp"
#include "backends/char/stream.hpp"
#include "base/file_descriptor.hpp"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

namespace strata::backends {

namespace {

// A terminal that polls as writable may still block on more than it has room for, and the mode of standard
// output is shared with whoever else has it open: so a terminal is opened anew, without blocking.
class StandardOutput {
public:
    [[nodiscard]] int get() const { return own_ ? own_.get() : STDOUT_FILENO; }

private:
    FileDescriptor own_{
        isatty(STDOUT_FILENO) ? ::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1};
};

// A pipe or a file: read as fast as the guest takes it, and written without being interpreted.
class StandardStreams final : public CharBackend {
public:
    explicit StandardStreams(EventLoop& loop)
        : stream_(loop, STDIN_FILENO, output_.get(),
                  {.receive = [this](auto bytes) { return deliver(bytes); }, .closed = {}}) {}

    ~StandardStreams() override { stream_.drain(); }

    void write(std::span<const std::byte> bytes) override { stream_.write(bytes); }

    void resume() override { stream_.resume(); }

private:
    StandardOutput output_;
    Stream stream_;
};

// What is typed is always read, since the escape key has to work when the guest does not listen; keys that
// the guest does not take are kept, up to more than anybody types.
class Terminal final : public CharBackend {
public:
    Terminal(EventLoop& loop, RawMode raw, std::function<void()> quit)
        : raw_(std::move(raw)), quit_(std::move(quit)),
          stream_(loop, STDIN_FILENO, output_.get(),
                  {.receive = [this](auto bytes) { return typed(bytes); },
                   .closed = [this] { ask_to_quit(); }}) {}

    ~Terminal() override { stream_.drain(); }

    void write(std::span<const std::byte> bytes) override { stream_.write(bytes); }

    void resume() override {
        if (!keys_.empty()) {
            const auto taken = deliver(keys_);
            keys_.erase(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(taken));
        }
    }

    [[nodiscard]] std::string announcement() const override { return std::string(EscapeKeys::announcement); }

private:
    static constexpr std::size_t max_keys = 65536;

    std::size_t typed(std::span<const std::byte> bytes) {
        for (auto rest = bytes; !rest.empty();) {
            auto command = EscapeKeys::Command::none;
            rest = rest.subspan(escape_.filter(rest, keys_, command));
            if (command == EscapeKeys::Command::quit) {
                ask_to_quit();
            } else if (command == EscapeKeys::Command::help) {
                stream_.write(std::as_bytes(std::span(EscapeKeys::help)));
            }
        }
        resume();
        keys_.resize(std::min(keys_.size(), max_keys));
        return bytes.size();
    }

    // The terminal itself may go away too.
    void ask_to_quit() const {
        if (quit_) {
            quit_();
        }
    }

    RawMode raw_;
    std::function<void()> quit_;
    EscapeKeys escape_;
    std::vector<std::byte> keys_; // for the guest
    StandardOutput output_;
    Stream stream_;
};

} // namespace

Result<std::unique_ptr<CharBackend>> open_stdio(EventLoop& loop, const CharOptions& options) {
    if (!isatty(STDIN_FILENO)) {
        return std::make_unique<StandardStreams>(loop);
    }
    auto raw = RawMode::enter(STDIN_FILENO);
    if (!raw) {
        return std::unexpected(raw.error());
    }
    return std::make_unique<Terminal>(loop, std::move(*raw), options.quit);
}

} // namespace strata::backends
