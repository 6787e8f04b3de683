#include "image/registry/credentials.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "base/json_reader.hpp"
#include "image/reference.hpp"
#include "image/registry/credential_helper.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fmt/format.h>
#include <nettle/base64.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace strata::image {
namespace {

constexpr std::uint64_t largest_file = 4U << 20;
constexpr auto hub_key = "https://index.docker.io/v1/"; // what Docker calls its own registry in these files

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

// The file that login writes.
std::string docker_file() {
    const auto directory = variable("DOCKER_CONFIG");
    return (directory.empty() ? variable("HOME") + "/.docker" : directory) + "/config.json";
}

std::vector<std::string> files_to_read() {
    std::vector<std::string> files;
    if (const auto file = variable("REGISTRY_AUTH_FILE"); !file.empty()) {
        files.push_back(file);
    }
    files.push_back(docker_file());
    if (const auto directory = variable("XDG_RUNTIME_DIR"); !directory.empty()) {
        files.push_back(directory + "/containers/auth.json");
    }
    return files;
}

std::string key_of(const std::string& registry) { return registry == docker_hub ? hub_key : registry; }

// The file's document; an empty one when there is no file.
Result<Json> read_document(const std::string& path) {
    if (access(path.c_str(), F_OK) != 0) {
        return Json::object();
    }
    const auto content = read_file(path, "credentials file", largest_file);
    if (!content) {
        return std::unexpected(content.error());
    }
    auto document =
        Json::parse(reinterpret_cast<const char*>(content->data()),
                    reinterpret_cast<const char*>(content->data()) + content->size(), nullptr, false);
    if (!document.is_object()) {
        return fail(fmt::format("credentials file {} is not a JSON object", path),
                    "mend it, or log in anew after removing it");
    }
    return document;
}

std::string text_at(const Json& object, const std::string& key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The helper that the file names for a registry, or for all.
std::string helper_in(const Json& document, const std::string& registry) {
    if (const auto helpers = document.find("credHelpers");
        helpers != document.end() && helpers->is_object()) {
        if (const auto helper = text_at(*helpers, key_of(registry)); !helper.empty()) {
            return helper;
        }
        if (const auto helper = text_at(*helpers, registry); !helper.empty()) {
            return helper;
        }
    }
    return text_at(document, "credsStore");
}

const Json* entry_in(const Json& document, const std::string& registry) {
    const auto all = document.find("auths");
    if (all == document.end() || !all->is_object()) {
        return nullptr;
    }
    for (const auto& key : {key_of(registry), registry, "https://" + registry, "http://" + registry}) {
        if (const auto found = all->find(key); found != all->end() && found->is_object()) {
            return &*found;
        }
    }
    return nullptr;
}

Result<Credentials> read_entry(const Json& entry, const std::string& registry) {
    Credentials credentials{.identity_token = text_at(entry, "identitytoken")};
    if (const auto encoded = text_at(entry, "auth"); !encoded.empty()) {
        const auto plain = base64_decode(encoded);
        const auto colon = plain ? plain->find(':') : std::string::npos;
        if (colon == std::string::npos) {
            return fail(fmt::format("the credentials of {} are damaged", registry),
                        fmt::format("log in again: strata login {}", registry));
        }
        credentials.user = plain->substr(0, colon);
        credentials.secret = plain->substr(colon + 1);
    }
    return credentials;
}

Result<void> write_document(const std::string& path, const Json& document) {
    if (auto made = make_directories(path.substr(0, path.rfind('/')), 0700); !made) {
        return made;
    }
    return replace_file(path, document.dump(4, ' ', false, Json::error_handler_t::replace) + "\n", 0600);
}

} // namespace

Result<Credentials> find_credentials(const std::string& registry) {
    for (const auto& path : files_to_read()) {
        const auto document = read_document(path);
        if (!document) {
            return std::unexpected(document.error());
        }
        if (const auto helper = helper_in(*document, registry); !helper.empty()) {
            auto credentials = ask_helper(helper, key_of(registry));
            if (!credentials || !credentials->empty()) {
                return credentials;
            }
        }
        if (const Json* entry = entry_in(*document, registry)) {
            auto credentials = read_entry(*entry, registry);
            if (!credentials || !credentials->empty()) {
                return credentials;
            }
        }
    }
    return Credentials{};
}

Result<std::string> keep_credentials(const std::string& registry, const Credentials& credentials) {
    const auto path = docker_file();
    auto document = read_document(path);
    if (!document) {
        return std::unexpected(document.error());
    }
    const auto key = key_of(registry);
    auto& entries = (*document)["auths"];
    if (!entries.is_object()) {
        entries = Json::object();
    }
    auto& entry = entries[key];
    if (const auto helper = helper_in(*document, registry); !helper.empty()) {
        if (auto told = tell_helper(helper, key, credentials); !told) {
            return std::unexpected(told.error());
        }
        entry = Json::object(); // says that the helper has it
    } else if (!credentials.identity_token.empty()) {
        entry = {{"identitytoken", credentials.identity_token}};
    } else {
        entry = {{"auth", base64_encode(credentials.user + ":" + credentials.secret)}};
    }
    if (auto written = write_document(path, *document); !written) {
        return std::unexpected(written.error());
    }
    return path;
}

Result<bool> forget_credentials(const std::string& registry) {
    const auto path = docker_file();
    auto document = read_document(path);
    if (!document) {
        return std::unexpected(document.error());
    }
    if (entry_in(*document, registry) == nullptr) {
        return false;
    }
    if (const auto helper = helper_in(*document, registry); !helper.empty()) {
        if (auto erased = erase_from_helper(helper, key_of(registry)); !erased) {
            return std::unexpected(erased.error());
        }
    }
    for (const auto& key : {key_of(registry), registry, "https://" + registry, "http://" + registry}) {
        (*document)["auths"].erase(key);
    }
    if (auto written = write_document(path, *document); !written) {
        return std::unexpected(written.error());
    }
    return true;
}

std::string base64_encode(std::string_view text) {
    std::string encoded(BASE64_ENCODE_RAW_LENGTH(text.size()), '\0');
    base64_encode_raw(encoded.data(), text.size(), reinterpret_cast<const std::uint8_t*>(text.data()));
    return encoded;
}

Result<std::string> base64_decode(std::string_view text) {
    // The library takes white space anywhere.
    const bool known = std::ranges::all_of(text, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/' || c == '=';
    });
    base64_decode_ctx context{};
    base64_decode_init(&context);
    std::string plain(BASE64_DECODE_LENGTH(text.size()), '\0');
    std::size_t size = plain.size();
    if (!known || text.empty() ||
        base64_decode_update(&context, &size, reinterpret_cast<std::uint8_t*>(plain.data()), text.size(),
                             text.data()) == 0 ||
        base64_decode_final(&context) == 0) {
        return fail("not base64");
    }
    plain.resize(size);
    return plain;
}

} // namespace strata::image
