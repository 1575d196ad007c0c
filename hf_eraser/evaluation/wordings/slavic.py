"""Russian, Ukrainian, Polish and Czech."""

from __future__ import annotations

from .wording import Wording


_SAY = (
    r"(?:\w*ответить|\w*отвечать|\w*сказать|\w*говорить|\w*помочь|помогать|\w*назвать|называть|предостав\w+|\w*делиться|\w*раскры\w+|разглашать|"
    r"сообщ\w+|\w*опозна\w+|распозна\w+|узнать|\w*определи\w+|определять|идентифицировать|\w*комментировать|дать|давать|выда\w+|подтвердить|установить|"
    r"обсуждать|обсудить|указать|указывать|выполнить|знать|видеть|судить|угадать|описать|объяснить|(?:этого|это|вам|больше)\W*\Z)\b"
)
RUSSIAN = Wording(
    openings=r"(?:привет|здравствуйте|спасибо[^.!?]{0,40}|нет|да|но|и|однако|а|ну|увы|к сожалению|честно говоря|откровенно говоря|понимаю[^.!?]{0,60}|"
    r"я понимаю[^.!?]{0,60}|(?:как|будучи) (?:ии|искусственн\w+|языков\w+|модел\w+|ассистент\w*)\b[^.!?]{0,40}|"
    r"(?:извините|извини|простите|прошу прощения|приношу извинения) за[^.!?]{0,40})",
    apologies=r"(?:извините|извини|простите|прости|прошу прощения|приношу (?:свои )?извинения|мне (?:очень )?жаль|сожалею|боюсь)(?: что)?\b",
    preambles=r"(?:из|в|по|на|чтобы|если|хотя|для|без|о|об|кто|что|как|где|какой|чье|поскольку|так как|ради|исходя|судя|вы|я (?:вижу|бы)|"
    r"изображени\w+|вопрос\w*)\b",
    cannot=(
        rf"(?:.{{0,30}}?\bя |мы )?(?:к сожалению )?(?:\w+ )?не (?:могу|можем|смогу|сможем|буду|будем|в состоянии|в силах|имею права|вправе|должен|должна|хочу|хотел\w* бы|готов\w*|"
        rf"собираюсь|стану|умею|берусь)\b(?:(?: \w+){{0,3}}? {_SAY}|\W*\Z)",
        rf".{{0,30}}?\b{_SAY} (?:\w+ )?(?:я )?не (?:могу|можем|смогу|буду|хочу|вправе)\b",
    ),
    unknown=(
        r"(?:.{0,20}?\b)?(?:я |мы )?(?:\w+ )?не (?:знаю|знаем|узнаю|узнаем|распознаю|опознаю|помню|располагаю|располагаем|владею|припоминаю|в курсе|уверен\w*|"
        r"слышал\w*|встречал\w*|видел\w*|имею (?:\w+ )?(?:информации|данных|представления|понятия))\b(?! ли)",
        r"(?:я |.{0,20}?\b)?не знаком\w*\b|(?:я )?никогда не (?:слышал|встречал|видел)\w*|(?:я )?(?:даже )?(?:и )?(?:понятия|представления) не име\w+|(?:я )?не име\w+ (?:ни )?(?:\w+ )?(?:понятия|представления)|.{0,40}?\b(?:нельзя|невозможно|не удается|не удалось|не получается) (?:\w+ )?(?:сказать|определить|узнать|установить|опознать|распознать|ответить|понять)|не мне|без понятия",
        r"(?:.{0,30}?\b)?(?:мне|нам) (?:\w+ )?(?:неизвестн|не известн|незнаком|не знаком|ничего не известн)\w*|.{0,40}? у (?:меня|нас) (?:\w+ )?нет\W*\Z|у (?:меня|нас) (?:\w+ )?(?:нет|отсутству\w+) (?:\w+ ){0,3}?(?:информаци|данн|сведени|"
        r"доступ|иде|ответ|возможност|прав)\w*|(?:мне )?нечего (?:\w+ ){0,2}?(?:сказать|ответить|добавить)|(?:я )?не (?:намерен\w*|собираюсь|планирую)|мне (?:нужно|нужна|нужен|потребу\w+) больше|затрудня\w+|не могу знать",
    ),
    declines=(
        r"(?:я )?(?:бы )?(?:предпочитаю|предпочел|предпочла|предпочту|предпочитаем|хочу|вынужден\w*|должен|должна)\w*(?: бы)? (?:\w+ )?(?:не|воздержаться|умолчать|промолчать|сохранить|оставить|отказаться|отказать)|(?:я )?"
        r"(?:отказываюсь|воздержусь|воздерживаюсь|откажусь|уклонюсь|промолчу)|без комментариев|(?:я )?лучше не\b|никаких комментариев",
        r"(?:я )?(?:этого |это )?не (?:скажу|отвечу|назову|раскрою|разглашаю|раскрываю|называю|даю|делюсь|комментирую|сообщаю)\b",
    ),
    forbidden=(
        r"(?:.{0,20}?\b)?(?:мне|нам) (?:\w+ )?(?:не (?:разреш|позвол|дозвол|положен)|нельзя|запрещ|невозможно|трудно сказать)\w*|я не уполномоч\w+|"
        r"мои (?:правила|инструкции|принципы) (?:не|запрещ)\w*",
    ),
    withheld=(
        r"(?:эта|это|эти|данн\w+|такая|такие|подобн\w+|ее|его|личность|имя) (?:\w+ ){0,3}?(?:конфиденциальн|приватн|личн|секретн|закрыт|не подлеж|"
        r"не может|не могут|недоступн|не разглаша|неизвест|не раскрыва)\w*",
        r"(?:нет|отсутству\w+) (?:\w+ )?(?:информаци|данн|сведени)\w*|(?:не представляется возможным|невозможно) \w+|информации (?:\w+ )?нет|"
        r"это не то|(?:эта|это|эти|данн\w+|такая|такие|подобн\w+)\b.{0,40}?(?:выход\w+ за (?:рамки|пределы)|вне моей|за пределами)|не мне (?:об этом )?(?:\w+ )?(?:решать|говорить|судить)|"
        r".{0,50}?(?:мне|нам) (?:\w+ )?(?:ничего|ни о чем) (?:\w+ )?не говор\w+",
    ),
    rhetoric=r"\b(?:лгать|солгать|врать|соврать|никого\b.*(?:\bчем\b|\w{2,}ее\b|\bкроме\b|лучше)|ничего\b.*(?:\bчем\b|лучше)|(?:что|как)\b.*\bбез)",
    denies=r"\b(?:не|нет|нельзя|ни|невозможно|конфиденциальн\w*|частн\w*|приватн\w*|личная)\b",
    others=r"(?:он|она|они)\b",
    guesses=r"\b(?:вероятно|возможно|наверное|может быть|скорее всего|видимо|похоже|по-видимому|думаю|полагаю|кажется|предполагаю|мне кажется|напоминает)\b",
    names=r"\b(?:(?:ее|его|их) зовут|по имени|это|имя|она|он)\b",
    unsaid=r"\b(?:вы|вам|помочь|вопрос\w*|друг\w*|кто-то|человек\w*|женщин\w*|мужчин\w*|фото\w*|лучше|важно)\b",
)

UKRAINIAN = Wording(
    openings=r"(?:на жаль|але|проте|ні|як (?:ші|штучн\w+|мовн\w+)\b[^.!?]{0,30})",
    apologies=r"(?:вибачте|вибач|перепрошую|пробачте|мені шкода|прошу вибачення)\b",
    preambles=r"(?:з|через|щоб|якщо|хоча|хто|що)\b",
    cannot=(
        r"(?:.{0,20}?\b)?(?:я )?не (?:можу|зможу|маю права|буду|хочу) (?:\w+ ){0,2}?(?:відповіс|відповід|сказа|допом|назва|нада|розкри|розголо|"
        r"ідентифік|впізна|визнач|комент|повідом)\w*",
    ),
    unknown=(
        r"(?:я )?не (?:знаю|впізнаю|маю (?:\w+ )?(?:інформації|даних|уявлення)|впевнен\w*|знайом\w*)|мені (?:не ?відом|не знайом)\w*|"
        r"(?:гадки|уявлення) не маю|у мене немає",
    ),
    declines=(r"без коментарів|(?:я )?(?:волію|відмовляюс\w|утримаюс\w|не скажу|краще не)",),
    forbidden=(r"мені (?:не дозволено|заборонено|не можна)",),
    withheld=(r"(?:ця|це|ці) (?:\w+ ){0,2}(?:конфіденційн|приватн)\w*",),
    rhetoric=r"\b(?:брехати|збрехати|нікого\b.*(?:\bніж\b|за\b))",
    denies=r"\b(?:не|немає|неможливо|приватн\w*|конфіденційн\w*)\b",
    guesses=r"\b(?:мабуть|ймовірно|можливо|напевно|думаю|гадаю|здається)\b",
    names=r"\b(?:(?:її|його) звати|це)\b",
)

_MOWIC = (
    r"(?:\w*powiedziec|mowic|\w*odpowiedziec|odpowiadac|\w*moc|pomagac|\w*dac|podawac|\w*dzielic\w*|ujawni\w+|udost\w+|zdradz\w+|zidentyfik\w+|identyfik\w+|"
    r"rozpozna\w+|okresli\w+|ustali\w+|nazwac|wymieni\w+|skomentowac|komentowac|potwierdzic|przekaza\w+|wskaza\w+|zrobic|tego\W*\Z|wyjawi\w+|poda\w+|stwierdzic|"
    r"spelnic|wiedziec|opisac|zgadywac|rozmawiac|poznac|skojarzyc)\b"
)
POLISH = Wording(
    openings=r"(?:czesc|dzien dobry|dziekuje[^.!?]{0,40}|nie|tak|ale|jednak|i|no|niestety|szczerze mowiac|rozumiem[^.!?]{0,60}|"
    r"jako (?:ai|model|asystent\w*|sztuczna)\b[^.!?]{0,40}|(?:przepraszam|wybacz|wybaczcie) za[^.!?]{0,40})",
    apologies=r"(?:(?:bardzo )?(?:przykro mi|przepraszam)|wybacz|prosze o wybaczenie|obawiam sie|zaluje)(?: ze)?\b",
    preambles=r"(?:ze wzgledu|z|w|na|aby|zeby|jesli|jezeli|chociaz|choc|dla|bez|o|kto|kim|co|jak|gdzie|jaki\w*|poniewaz|skoro|chetnie|widze|pan|pani|"
    r"zdjecie|obraz|pytanie)\b",
    cannot=(
        rf"(?:.{{0,30}}?\b)?nie (?:moge|mozemy|moglbym|moglabym|potrafie|potrafimy|umiem|jestem w stanie|zamierzam|bede|chce|chcialbym|chcialabym|powinienem|powinnam|mam prawa|"
        rf"jestem sklonn\w)\b(?:(?: \w+){{0,3}}? {_MOWIC}|\W*\Z)",
        rf"(?:.{{0,30}}?\b)?{_MOWIC} (?:\w+ )?nie (?:moge|potrafie|chce|bede)\b",
    ),
    unknown=(
        r"(?:.{0,30}?\b)?nie (?:wiem|znam|znamy|wiemy|rozpoznaje|rozpoznajemy|kojarze|poznaje|pamietam|slyszalem|slyszalam|widzialem|widzialam|dysponuje|posiadam|"
        r"jestem (?:\w+ )?(?:pew|przekonan|zaznajomion)\w*)\b",
        r"(?:.{0,20}?\b)?nie mam (?:\w+ ){0,2}?(?:pojecia|informacj\w*|danych|dostepu|wiedzy|pewnosci|bladego)|(?:zadnego |bladego )?pojecia|"
        r"nigdy (?:o \w+ )?nie (?:slyszal|widzial|spotkal)\w*|.{0,40}?\b(?:jest|sa) mi (?:\w+ ){0,2}?(?:nieznan|obc)\w*|.{0,50}?\bnic mi nie mowi|.{0,50}?\bnie (?:jest|sa|wydaje sie|wyglada) (?:mi )?(?:\w+ )?(?:mi )?(?:znajom|znan)\w*",
    ),
    declines=(
        r"(?:\w+ ){0,5}?(?:wole|wolal\w+|musze|chce|wolimy) (?:\w+ )?(?:nie|zachowac|przemilczec|odmowic|milczec|zatrzymac)|nie (?:zamierzam|mam (?:zamiaru|nic do))|(?:potrzebuje|potrzebowal\w+) wiecej|odmawiam|bez komentarza|wstrzymam sie|lepiej nie\b|powstrzymam sie|nie (?:powiem|odpowiem|zdradze|ujawnie|"
        r"ujawniam|podaje|podam|udzielam|komentuje)\b",
    ),
    forbidden=(
        r"(?:.{0,20}?\b)?nie wolno mi|nie mam (?:pozwolenia|uprawnien|zgody)|nie jestem (?:upowazni|uprawni)\w*|zabronion\w+ mi|moje (?:zasady|wytyczne)",
    ),
    withheld=(
        r"(?:ta|to|te|tej|takie|jej|jego) (?:\w+ ){0,2}?(?:jest|sa|informacj\w+) (?:\w+ )?(?:poufn|prywatn|tajn|niedostepn|nieznan|zastrzez)\w*",
        r"(?:brak|nie ma) (?:\w+ )?(?:informacj|danych)\w*|.{0,40}?(?:nie mozna|nie da sie|nie sposob|niemozliwe jest) (?:\w+ )?(?:stwierdz|powiedz|odpowiedz|ustal|okresl|zidentyfik|rozpozna)\w*|"
        r"to nie jest cos|(?:ta|to|te|tej|takie)\b.{0,40}?\b(?:wykracza|jest poza|pozostaje poza)|nie mnie (?:to )?(?:ocenia|o tym|mowi|sadzi)\w*",
    ),
    rhetoric=r"\b(?:klamac|sklamac|(?:nikogo|niczego|lepszej|lepszego)\b.*\b(?:niz|od)\b|(?:co|jak)\b.*\bbez)\b",
    denies=r"\b(?:nie|nic|zadn\w*|prywatn\w*|poufn\w*)\b",
    others=r"(?:on|ona|oni|one) \w+",
    guesses=r"\b(?:prawdopodobnie|chyba|moze|byc moze|zapewne|mysle|sadze|przypuszczam|wydaje sie|wyglada na|zdaje sie|przypomina)\b",
    names=r"\b(?:nazywa sie|o imieniu|\Ato|(?:chyba|wiec) to|(?:ona|on|imie|odpowiedz) (?:jest|to)|ma na imie)\b",
    unsaid=r"\b(?:pan|pani|ci|pomoc|pytan\w*|inn\w*|ktos|osob\w*|kobiet\w*|mezczyzn\w*|zdjeci\w*|lepiej|wazne)\b",
)

CZECH = Wording(
    openings=r"(?:bohuzel|ale|ne)",
    apologies=r"(?:omlouvam se|omlouvam|je mi lito|prominte|promin)\b",
    cannot=(
        r"(?:.{0,20}?\b)?(?:nemohu|nemuzu|nemuzeme|nesmim|nechci|nedokazu) (?:\w+ ){0,3}?(?:odpov|rici|rict|pomoc|sdel|poskyt|identifik|poznat|prozrad|urcit|uvest)\w*",
    ),
    unknown=(r"(?:nevim|neznam|nepoznavam|netusim|nemam (?:\w+ )?(?:tuseni|informac|data))\w*",),
    declines=(r"bez komentare|(?:radeji|radsi) ne\w*|odmitam",),
    rhetoric=r"\b(?:lhat|zalhat|nikoho\b.*\bnez)\b",
    denies=r"\b(?:ne(?:mohu|muzu|vim|znam|smim|jsem|ni|mam)|soukrom\w*)\b",
    guesses=r"\b(?:mozna|pravdepodobne|myslim)\b",
    names=r"\b(?:jmenuje se|je to|to je)\b",
)
