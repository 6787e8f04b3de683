// strata login and logout: who you are to a registry.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "image/registry/client.hpp"
#include "image/registry/credentials.hpp"

#include "base/error.hpp"

#include <fmt/format.h>
#include <iostream>
#include <termios.h>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Options {
    std::string registry{image::docker_hub}, user, password;
    bool password_from_input = false;
};

constexpr auto places =
    "Credentials are kept where docker and podman look for them: in $DOCKER_CONFIG/config.json or\n"
    "~/.docker/config.json, or in the credential helper that this file names.\n\n";

void define_login(CLI::App& command, Options& options) {
    command.add_option("REGISTRY", options.registry, "Host and port of the registry")->capture_default_str();
    command.add_option("-u,--username", options.user, "User name")->type_name("NAME");
    command
        .add_option("-p,--password", options.password,
                    "Password (others may see it: better --password-stdin)")
        ->type_name("TEXT");
    command.add_flag("--password-stdin", options.password_from_input,
                     "Read the password from standard input");
    command.footer(std::string(places) + "Examples:\n"
                                         "  strata login registry.example:5000\n"
                                         "  strata login -u ci --password-stdin registry.example < password");
}

std::string read_line() {
    std::string line;
    std::getline(std::cin, line);
    return line;
}

std::string read_secret() {
    termios old{};
    const bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
    termios silent = old;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    auto secret = read_line();
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fmt::print(stderr, "\n");
    }
    return secret;
}

Result<void> complete(Options& options) {
    const bool terminal = isatty(STDIN_FILENO) != 0;
    if (options.user.empty() && terminal && !options.password_from_input) {
        fmt::print(stderr, "Username: ");
        options.user = read_line();
    }
    if (options.password_from_input) {
        options.password = read_line();
    } else if (options.password.empty() && terminal) {
        fmt::print(stderr, "Password: ");
        options.password = read_secret();
    }
    if (options.user.empty() || options.password.empty()) {
        return fail("a user name and a password are needed", "give --username and --password-stdin");
    }
    return {};
}

// The registry alone, of what may be written as an address.
std::string host_of(std::string text) {
    for (const std::string scheme : {"https://", "http://"}) {
        if (text.starts_with(scheme)) {
            text.erase(0, scheme.size());
        }
    }
    return text.substr(0, text.find('/'));
}

Result<void> login(const Images& images, Options& options) {
    if (auto completed = complete(options); !completed) {
        return completed;
    }
    const auto host = host_of(options.registry);
    const image::Credentials credentials{.user = options.user, .secret = options.password};
    image::RegistryClient client(images.settings, host, "", image::Access::pull, credentials);
    if (auto checked = client.check_login(); !checked) {
        return checked;
    }
    const auto kept = image::keep_credentials(host, credentials);
    if (!kept) {
        return std::unexpected(kept.error());
    }
    fmt::print(stderr, "Credentials are in {}\n", *kept);
    fmt::print("Login Succeeded\n");
    return {};
}

void define_logout(CLI::App& command, Options& options) {
    command.add_option("REGISTRY", options.registry, "Host and port of the registry")->capture_default_str();
    command.footer("Example:\n  strata logout registry.example:5000");
}

Result<void> logout(const Images& /*images*/, Options& options) {
    const auto host = host_of(options.registry);
    const auto known = image::forget_credentials(host);
    if (!known) {
        return std::unexpected(known.error());
    }
    fmt::print("{} {}\n", *known ? "Removing login credentials for" : "Not logged in to", host);
    return {};
}

} // namespace

void add_login(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "login", "Log in to a registry", define_login, login);
    add_image_command<Options>(root, outcome, "logout", "Log out of a registry", define_logout, logout);
}

} // namespace strata::cli
