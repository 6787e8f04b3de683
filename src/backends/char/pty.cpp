#include "backends/char/pty.hpp"

#include "backends/char/stream.hpp"
#include "base/file_descriptor.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <termios.h>

namespace strata::backends {

namespace {

class Pty final : public CharBackend {
public:
    Pty(EventLoop& loop, FileDescriptor controller, FileDescriptor terminal, std::string path)
        : controller_(std::move(controller)), terminal_(std::move(terminal)), path_(std::move(path)),
          stream_(loop, controller_.get(), controller_.get(),
                  {.receive = [this](auto bytes) { return deliver(bytes); }, .closed = {}}) {}

    void write(std::span<const std::byte> bytes) override { stream_.write(bytes); }

    void resume() override { stream_.resume(); }

    [[nodiscard]] std::string announcement() const override { return "console on " + path_; }

private:
    FileDescriptor controller_;
    FileDescriptor terminal_; // held open: without a terminal side, the controller only reports a hang-up
    std::string path_;
    Stream stream_;
};

} // namespace

Result<std::unique_ptr<CharBackend>> open_pty(EventLoop& loop) {
    FileDescriptor controller(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    std::array<char, 64> path{};
    if (!controller || grantpt(controller.get()) != 0 || unlockpt(controller.get()) != 0 ||
        ptsname_r(controller.get(), path.data(), path.size()) != 0) {
        return fail_errno("create", "a pseudo-terminal");
    }
    FileDescriptor terminal(::open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios mode{};
    if (!terminal || tcgetattr(terminal.get(), &mode) != 0) {
        return fail_errno("open", path.data());
    }
    cfmakeraw(&mode); // no echo of the guest's output back to it
    tcsetattr(terminal.get(), TCSANOW, &mode);
    return std::make_unique<Pty>(loop, std::move(controller), std::move(terminal), path.data());
}

} // namespace strata::backends
