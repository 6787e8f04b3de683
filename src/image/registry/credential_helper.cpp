#include "image/registry/credential_helper.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "base/json_reader.hpp"
#include "base/pipe.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/mman.h>

extern char** environ;

namespace strata::image {
namespace {

constexpr std::string_view token_user = "<token>"; // the secret is an identity token
constexpr std::size_t longest_answer = 1U << 20;

struct Answer {
    int status = 0;
    std::string text;
};

Result<std::string> read_to_end(int fd, const std::string& program) {
    std::string text;
    std::array<char, 4096> buffer{};
    while (true) {
        const auto got = read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno != EINTR) {
            return fail_errno("read from", program);
        }
        if (got == 0 || text.size() > longest_answer) {
            return text;
        }
        text.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
}

// A file in memory: the helper's input needs no thread that feeds it.
Result<FileDescriptor> input_of(const std::string& text) {
    FileDescriptor file(memfd_create("input", MFD_CLOEXEC));
    if (!file) {
        return fail_errno("make", "a file in memory");
    }
    if (auto written = write_all(file.get(), text, "a file in memory"); !written) {
        return std::unexpected(written.error());
    }
    lseek(file.get(), 0, SEEK_SET);
    return file;
}

Result<Answer> call(const std::string& helper, const char* verb, const std::string& text) {
    const auto program = "docker-credential-" + helper;
    if (helper.find('/') != std::string::npos) {
        return fail(fmt::format("credential helper '{}' is not a plain name", helper));
    }
    const auto input = input_of(text);
    if (!input) {
        return std::unexpected(input.error());
    }
    auto pipe = make_pipe();
    if (!pipe) {
        return fail_errno("start", program);
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input->get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe->write_end.get(), STDOUT_FILENO);
    std::string program_text = program, verb_text = verb;
    std::array<char*, 3> arguments{program_text.data(), verb_text.data(), nullptr};
    pid_t child = 0;
    const int failure = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    pipe->write_end.reset();
    if (failure != 0) {
        return fail_errno("start credential helper", program, failure);
    }
    auto answer = read_to_end(pipe->read_end.get(), program);
    const int status = wait_for_end(child);
    if (!answer) {
        return std::unexpected(answer.error());
    }
    return Answer{.status = status, .text = std::move(*answer)};
}

std::unexpected<Error> complaint(const std::string& helper, const Answer& answer) {
    return fail(
        fmt::format("docker-credential-{}: {}", helper, answer.text.substr(0, answer.text.find('\n'))));
}

} // namespace

Result<Credentials> ask_helper(const std::string& helper, const std::string& server) {
    const auto answer = call(helper, "get", server);
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (answer->status != 0) {
        if (answer->text.find("credentials not found") != std::string::npos) {
            return Credentials{};
        }
        return complaint(helper, *answer);
    }
    JsonReader reader("answer of docker-credential-" + helper);
    const auto root = reader.parse(answer->text);
    const auto user = root.at("Username").string();
    const auto secret = root.at("Secret").string();
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return user == token_user ? Credentials{.identity_token = secret}
                              : Credentials{.user = user, .secret = secret};
}

Result<void> tell_helper(const std::string& helper, const std::string& server,
                         const Credentials& credentials) {
    const bool token = !credentials.identity_token.empty();
    const Json request{{"ServerURL", server},
                       {"Username", token ? std::string(token_user) : credentials.user},
                       {"Secret", token ? credentials.identity_token : credentials.secret}};
    const auto answer = call(helper, "store", dump(request));
    if (!answer) {
        return std::unexpected(answer.error());
    }
    return answer->status == 0 ? Result<void>{} : complaint(helper, *answer);
}

Result<void> erase_from_helper(const std::string& helper, const std::string& server) {
    const auto answer = call(helper, "erase", server);
    if (!answer) {
        return std::unexpected(answer.error());
    }
    return answer->status == 0 ? Result<void>{} : complaint(helper, *answer);
}

} // namespace strata::image
